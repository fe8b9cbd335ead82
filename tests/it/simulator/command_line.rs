//! `portico simulate`: switches, people and faults from the command line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use portico::simulator::{aim18, imis};

use super::answer;
use crate::harness::browser::http_client;

fn portico(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command.arg("simulate").args(arguments);
    command
}

fn run(arguments: &[&str]) -> (bool, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = portico(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.success(), text(stdout), text(stderr))
}

/// A simulator in a process of its own, which ends with it.
struct Running {
    child: Child,
    url: String,
    control: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = portico(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |start: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(start)
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned()
        };
        let url = line("listening on ");
        let control = line("live control at ");
        Self {
            child,
            url,
            control,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn switches_people_and_faults_are_listed_with_their_meanings() {
    let (done, told, _) = run(&["imis", "--list-switches"]);
    assert!(done);
    for switch in imis::Switches::ALL {
        assert!(
            told.contains(&format!("{}=", switch.name)),
            "{}",
            switch.name
        );
    }
    assert!(told.contains("edition=ems\n    Field names") && told.contains("imis2017"));
    let (_, told, _) = run(&["aim18", "--list-switches"]);
    for switch in aim18::Switches::ALL {
        assert!(
            told.contains(&format!("{}=", switch.name)),
            "{}",
            switch.name
        );
    }
    for (which, people) in [("imis", imis::seeded()), ("aim18", aim18::seeded())] {
        let (done, told, _) = run(&[which, "--list-people"]);
        assert!(done && told.contains("restore"));
        for person in people {
            let line = told.lines().find(|line| line.starts_with(&person.username));
            let line = line.unwrap();
            assert!(
                line.contains(&person.password) && line.ends_with(person.about),
                "{line}"
            );
        }
    }
    assert!(run(&["imis", "--list-faults"]).1.contains("close-after-N"));
}

#[test]
fn what_cannot_be_set_is_refused_with_what_to_write_instead() {
    for (arguments, told) in [
        (["--set", "edition=2018"], "edition: write ems, imis2017"),
        (["--set", "nothing=1"], "there is no nothing"),
        (["--set", "edition"], "write NAME=VALUE"),
        (["--person", "JSMITH=sing"], "do: there is no sing"),
        (["--person", "NOBODY=lock"], "person: nobody is NOBODY"),
        (["--fault", "/token=explode"], "write a fault: status-N"),
        (
            ["--fault", "/token=hang,times=0"],
            "times: write a number from 1",
        ),
    ] {
        let (done, _, errors) = run(&["imis", arguments[0], arguments[1]]);
        assert!(!done && errors.contains(told), "{arguments:?}: {errors}");
    }
}

#[tokio::test]
async fn a_simulator_starts_as_it_was_told_and_is_controlled_while_it_runs() {
    let simulator = Running::start(&[
        "imis",
        "--set",
        "base_path=/Asi.Scheduler_Demo",
        "--set",
        "token_errors=bare",
        "--person",
        "JSMITH=lock",
        "--fault",
        "/token=status-503,times=1",
    ]);
    assert!(simulator.url.ends_with("/Asi.Scheduler_Demo"));
    let client = http_client();
    let form = [
        ("grant_type", "password"),
        ("username", "JSMITH"),
        ("password", "member-demo-1"),
    ];
    let token = format!("{}/token", simulator.url);
    let log_in = async || answer(client.post(&token).form(&form)).await.0;
    assert_eq!((log_in().await, log_in().await), (503, 400));
    let url = format!("{}people", simulator.control);
    let body = serde_json::json!({ "person": "JSMITH", "do": "restore" });
    assert_eq!(answer(client.post(url).json(&body)).await.0, 200);
    assert_eq!(log_in().await, 200);
}

#[tokio::test]
async fn aim18_starts_as_it_was_told() {
    let simulator = Running::start(&[
        "aim18",
        "--set",
        "denied_status=403",
        "--person",
        "ann.lee=disable",
    ]);
    let url = format!("{}/jsf/rfws/bpm/wfs/tracking", simulator.url);
    assert_eq!(answer(http_client().get(url)).await.0, 403);
    let people = http_client().get(format!("{}people/1042", simulator.control));
    assert_eq!(answer(people).await.1["state"], "disabled");
}
