//! A thread beside the requests, for what would hold them up and comes all the time: a wait for the disk. The runtime's own pool of such
//! threads has one lock, which the thread that is woken waits for while the one that wakes it has it: two changes of thread more for each
//! job. And what goes on when whoever began it has gone.

use std::io;
use std::sync::mpsc::{self, SendError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Job = Box<dyn FnOnce() + Send>;

/// One thread, which does one thing after the other. It begins with the first of them, and ends with this.
pub struct Beside {
    /// The thread's, of 15 characters at the most.
    name: &'static str,
    gives_way: bool,
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Beside {
    /// None yet.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            gives_way: false,
            jobs: Mutex::new(None),
        }
    }

    /// One for what nobody waits for: where the processors are busy, it gets a third of what another thread gets. Not less, for meanwhile it
    /// may hold what others want for a moment.
    pub const fn giving_way(name: &'static str) -> Self {
        let mut beside = Self::new(name);
        beside.gives_way = true;
        beside
    }

    /// Has the thread do this, after all that it was told before.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut job: Job = Box::new(job);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            match jobs.send(job) {
                Ok(()) => return Ok(()),
                // A job has panicked, and the thread is gone.
                Err(SendError(back)) => job = back,
            }
        }
        let (tell, told) = mpsc::channel::<Job>();
        let thread = thread::Builder::new().name(self.name.to_owned());
        let gives_way = self.gives_way;
        thread.spawn(move || {
            if gives_way {
                give_way();
            }
            for job in told {
                job();
            }
        })?;
        // It waits.
        let _ = tell.send(job);
        *jobs = Some(tell);
        Ok(())
    }
}

/// Lowers the priority of this thread.
#[cfg(target_os = "linux")]
fn give_way() {
    // Five steps are a third (sched(7)). Where it is not allowed, nothing is lost but time.
    let _ = rustix::process::nice(5);
}

/// Elsewhere `nice` is about the whole process (POSIX.1-2024); on Linux each thread has a priority of its own (setpriority(2)).
#[cfg(not(target_os = "linux"))]
const fn give_way() {}

/// The most that go on when whoever began them has gone; those beyond are not waited for. Of requests there are no more than the
/// system allows connections.
const MOST_UNDER_WAY: u32 = 4096;

/// What goes on though whoever began it has gone, and is waited for at the end of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UnderWay(Arc<Semaphore>);

impl Default for UnderWay {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_UNDER_WAY as usize)))
    }
}

impl UnderWay {
    /// A place for one more, if there is one.
    pub fn begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    /// Waits until none is under way.
    pub async fn end(&self) {
        let _all = self.0.acquire_many(MOST_UNDER_WAY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The others keep theirs.
    #[cfg(target_os = "linux")]
    #[test]
    fn one_that_gives_way_has_a_lower_priority() {
        let of = |beside: &Beside| {
            let (tell, told) = mpsc::channel();
            let ask = move || tell.send(rustix::process::nice(0).unwrap()).unwrap();
            beside.run(ask).unwrap();
            told.recv().unwrap()
        };
        let here = rustix::process::nice(0).unwrap();
        let lower = of(&Beside::giving_way("gives way"));
        assert_eq!(lower, (here + 5).min(19));
        assert_eq!(of(&Beside::new("does not")), here);
        assert_eq!(rustix::process::nice(0).unwrap(), here);
    }

    #[test]
    fn one_thing_after_the_other_and_on_after_a_panic() {
        let beside = Beside::new("beside");
        let (tell, told) = mpsc::channel();
        for number in 0..10 {
            let tell = tell.clone();
            beside.run(move || tell.send(number).unwrap()).unwrap();
        }
        let done: Vec<i32> = told.iter().take(10).collect();
        assert_eq!(done, (0..10).collect::<Vec<_>>());
        // Without a word on the terminal of whoever runs the tests.
        beside
            .run(|| std::panic::resume_unwind(Box::new(())))
            .unwrap();
        // Until the thread is gone, what is sent to it is lost.
        for number in 0.. {
            let tell = tell.clone();
            beside.run(move || tell.send(number).unwrap()).unwrap();
            if told
                .recv_timeout(std::time::Duration::from_millis(20))
                .is_ok()
            {
                return;
            }
        }
    }
}
