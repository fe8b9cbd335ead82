//! The simulated aiM18: login page with redirect, token endpoint, and the generic entity and search API.
//! Paths, parameters and answers follow the vendor's documentation and public clients; see
//! the switches for what those leave open.

mod api;
mod check_message;
mod control;
mod entry;
mod grants;
mod record;
mod switches;
mod token;
mod user;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;

use self::grants::Grants;
use self::record::Records;
use super::control::{Action, Controlled as _};
use super::fault::{self, Fault, Planned};
use super::people::{self, Aim18Person};
use super::wire::{self, Log, Recorded, Reply, Site};
use super::{Running, page};
use crate::clock::{Clock, UnixTime};

pub use api::check_right;
pub use control::seeded;
pub use switches::{
    AnswerIn, ApiErrors, Application, CLIENT_ID, CLIENT_SECRET, Cancel, ChecksRight, EntryErrors,
    ErrorInfo, OtherMethod, ReturnBy, StateParameter, Switches, TokenErrors, TokenMethods,
    UidShape, UserRights,
};

/// A simulated aiM18. A handle: clones share one state, which may be changed while it is served.
#[derive(Clone, Debug)]
pub struct Aim18 {
    clock: Clock,
    state: Arc<Mutex<Inside>>,
}

/// Everything the simulated aiM18 knows.
#[derive(Debug)]
struct Inside {
    switches: Switches,
    people: Vec<Aim18Person>,
    /// Wrong passwords since the last right one, by `uid`.
    wrong_passwords: HashMap<i64, u32>,
    grants: Grants,
    records: Records,
    log: Log,
    control_hosts: Vec<String>,
}

impl Aim18 {
    /// With the seeded people, the demo's application and the default switches.
    pub fn new(clock: Clock) -> Self {
        let inside = Inside {
            switches: Switches::default(),
            people: people::AIM18.to_vec(),
            wrong_passwords: HashMap::new(),
            grants: Grants::default(),
            records: Records::default(),
            log: Log::default(),
            control_hosts: Vec::new(),
        };
        Self {
            clock,
            state: Arc::new(Mutex::new(inside)),
        }
    }

    /// The switches as they stand.
    pub fn switches(&self) -> Switches {
        self.inside().switches.clone()
    }

    /// Turns switches, also while it is served: `aim18.switch(|s| s.tells_expires_in = true)`.
    pub fn switch(&self, turn: impl FnOnce(&mut Switches)) {
        turn(&mut self.inside().switches);
    }

    /// Registers an application, or replaces the one with the same client id.
    pub fn register(&self, application: Application) {
        self.switch(|switches| {
            switches
                .applications
                .retain(|known| known.client_id != application.client_id);
            switches.applications.push(application);
        });
    }

    /// Gives the demo's application another callback URL: that of the Portico under test.
    pub fn set_callback(&self, callback: &str) {
        self.register(Application {
            callback: callback.to_owned(),
            ..Application::demo()
        });
    }

    /// Plans a fault for every request to a place: `aim18.fail("/oauth/token", Fault::Hang)`.
    pub fn fail(&self, place: &str, fault: Fault) {
        self.switch(|switches| switches.faults.push(Planned::on(place, fault)));
    }

    /// Plans a fault for the next request to a place only.
    pub fn fail_once(&self, place: &str, fault: Fault) {
        self.switch(|switches| switches.faults.push(Planned::on(place, fault).times(1)));
    }

    /// Plans a fault.
    pub fn plan_fault(&self, planned: Planned) {
        self.switch(|switches| {
            switches.faults.retain(|planned| !planned.is_over());
            switches.faults.push(planned);
        });
    }

    /// Turns a switch by its name.
    ///
    /// # Errors
    /// When there is no such switch, or the value is none of its values: what to write instead.
    pub fn set(&self, name: &str, value: &str) -> Result<(), String> {
        self.turn(&[(name.to_owned(), value.to_owned())])
    }

    /// Does to a person, found by id or name, what an action of the live control does: `lock`, `disable`, `restore`.
    ///
    /// # Errors
    /// When there is no such person or action.
    pub fn act_on(&self, who: &str, action: &str) -> Result<(), String> {
        self.act(who, action)
    }

    /// What [`Self::act_on`] can do.
    pub fn known_actions(&self) -> Vec<Action> {
        self.actions()
    }

    /// Ends all planned faults.
    pub fn mend(&self) {
        self.switch(|switches| switches.faults.clear());
    }

    /// Changes a user, found by the present login name.
    pub fn change(&self, code: &str, change: impl FnOnce(&mut Aim18Person)) {
        self.inside().change(code, change);
    }

    /// Ends every token and browser session, as a restart of aiM18 may.
    pub fn forget_tokens(&self) {
        self.inside().grants = Grants::default();
    }

    /// Every request received, in order.
    pub fn log(&self) -> Vec<Recorded> {
        self.inside().log.requests()
    }

    /// Forgets the requests received so far.
    pub fn clear_log(&self) {
        self.inside().log.clear();
    }

    /// Lets the live control be reached under another name than the machine's own loopback names, and from other machines.
    pub fn allow_control_from(&self, host: &str) {
        self.inside().control_hosts.push(host.to_owned());
    }

    /// Serves on a listener until the answer is stopped or dropped. The same simulator can be served
    /// again later, with all it knows.
    ///
    /// # Errors
    /// When the listener has no local address.
    #[expect(
        clippy::unused_async,
        reason = "serving needs a runtime, and both simulators are started alike"
    )]
    pub async fn serve(&self, listener: TcpListener) -> io::Result<Running> {
        let base_path = self.switches().base_path;
        wire::serve(self.clone(), listener, &base_path)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A test that panicked while it held the lock has failed anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn person(&self, uid: i64) -> Option<Aim18Person> {
        self.people.iter().find(|person| person.uid == uid).copied()
    }

    fn change(&mut self, code: &str, change: impl FnOnce(&mut Aim18Person)) {
        let place = self.people.iter().position(|person| person.code == code);
        if let Some(place) = place {
            self.change_at(place, change);
        }
    }

    fn change_at(&mut self, place: usize, change: impl FnOnce(&mut Aim18Person)) {
        let Some(person) = self.people.get_mut(place) else {
            return;
        };
        let before = *person;
        change(person);
        let password_changed = person.password != before.password;
        self.wrong_passwords.remove(&before.uid);
        if password_changed && self.switches.password_change_ends_tokens {
            self.grants.end_all_of(before.uid);
        }
    }

    /// The user of a login name who may log in with a password for which `right` holds.
    fn log_in(&mut self, code: &str, right: impl Fn(&str) -> bool) -> Option<Aim18Person> {
        let any_letter_case = self.switches.any_letter_case;
        let person = self.people.iter_mut().find(|person| {
            person.code == code
                || (any_letter_case && person.code.to_lowercase() == code.to_lowercase())
        })?;
        let wrong = self.wrong_passwords.entry(person.uid).or_default();
        if !right(person.password) {
            *wrong += 1;
            person.locked |= self
                .switches
                .lock_after
                .is_some_and(|limit| *wrong >= limit);
            return None;
        }
        if !person.may_log_in() {
            return None;
        }
        *wrong = 0;
        Some(*person)
    }
}

impl Site for Aim18 {
    fn receive(&self, request: &Recorded) -> (usize, Option<Fault>) {
        let inside = &mut *self.inside();
        let number = inside.log.receive(request);
        (number, fault::next(&mut inside.switches.faults, request))
    }

    fn answered(&self, number: usize, status: u16) {
        self.inside().log.answered(number, status);
    }

    fn answer(&self, request: &Recorded) -> Reply {
        let now = self.clock.now();
        let inside = &mut *self.inside();
        let base_path = wire::tidy(&inside.switches.base_path);
        let Some(path) = request.path.strip_prefix(&base_path) else {
            return not_found();
        };
        let allows_cors = inside.switches.allows_cors;
        match (request.method.as_str(), path) {
            ("GET", "" | "/") => Reply::html(200, front_page()),
            (_, "/jsf/rfws/oauth/entry") => entry::answer(inside, request, now),
            (_, path) => match path.strip_prefix("/jsf/rfws/") {
                Some(service) => wire::with_cors(allows_cors, request, || {
                    if service == inside.switches.token_path {
                        token::answer(inside, request, now)
                    } else {
                        api::answer(inside, request, service, now)
                    }
                }),
                None => not_found(),
            },
        }
    }
}

fn not_found() -> Reply {
    Reply::html(
        404,
        page::page("404 Not Found", "<p>This is a simulated aiM18.</p>"),
    )
}

fn front_page() -> String {
    page::page(
        "aiM18 (simulated)",
        "<p class=\"note\">This stands in for the aiM18 server of an organization.</p>",
    )
}

/// Whether something made at `now` with a life of so many seconds is still alive later.
fn alive(expires_at: UnixTime, now: UnixTime) -> bool {
    now < expires_at
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| DIGITS.get(usize::from(digit)))
        .collect()
}
