// A program that believes it is earlier: a library that answers for clock_gettime is loaded before the C library, so that what
// takes half an hour needs no waiting. The program under test is the one that ships, and knows nothing of it.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./processes.js";

const SOURCE = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, clock, now);
  const char *behind = getenv("TEST_SECONDS_BEHIND");
  if (!failed && clock == CLOCK_REALTIME && behind) now->tv_sec -= atol(behind);
  return failed;
}
`;

// The environment of such a program; the library is compiled into `folder`.
export async function clockBehind(seconds, folder) {
  const [source, library] = [join(folder, "clock.c"), join(folder, "clock.so")];
  await writeFile(source, SOURCE);
  await run("cc", "cc", ["-shared", "-fPIC", "-O1", "-o", library, source]);
  return { LD_PRELOAD: library, TEST_SECONDS_BEHIND: String(seconds) };
}
