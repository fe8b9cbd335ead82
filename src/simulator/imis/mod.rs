//! The simulated iMIS: token endpoint, REST API, saved queries, and a web site where people sign in, go on to
//! client applications and sign out. Formats are those of the vendor's public documentation and of public clients; see the switches for
//! what differs between versions.

mod api;
mod catalogue;
mod control;
mod dates;
mod envelope;
mod event;
mod filter;
mod group;
mod login;
mod party;
mod query;
mod security;
mod sign_in;
mod sso;
mod switches;
mod tokens;
mod user;
mod web;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;

use self::event::Events;
use self::sign_in::Sessions;
use self::tokens::Tokens;
use super::control::{Action, Controlled as _};
use super::fault::{self, Fault, Planned};
use super::people::{self, ImisPerson};
use super::wire::{self, Log, Recorded, Reply, Site};
use super::{Running, page};
use crate::clock::Clock;

pub use control::seeded;
pub use query::{MEMBERS_QUERY, PROFILE_QUERY};
pub use switches::{
    AnonymousSso, ClientApplication, Delivery, Edition, Execute, ExpiresIn, Groups, MemberRights,
    QueryEmpty, QueryServices, QuerySubject, RefreshTokens, SignedOutBy, Switches, TokenErrors,
    TokenShape, UserLookup, UserNameAs,
};

/// A simulated iMIS. A handle: clones share one state, which may be changed while it is served.
#[derive(Clone, Debug)]
pub struct Imis {
    clock: Clock,
    state: Arc<Mutex<Inside>>,
}

/// Everything the simulated iMIS knows.
#[derive(Debug)]
struct Inside {
    switches: Switches,
    accounts: Vec<Account>,
    tokens: Tokens,
    sessions: Sessions,
    events: Events,
    /// Calls with a valid token since the last purge, for the switch that refuses some of them.
    valid_calls: u32,
    log: Log,
    control_hosts: Vec<String>,
}

/// A person and what happened to the account.
#[derive(Clone, Debug)]
struct Account {
    person: ImisPerson,
    wrong_passwords: u32,
}

impl Imis {
    /// With the seeded people and the default switches.
    pub fn new(clock: Clock) -> Self {
        let accounts = people::IMIS
            .iter()
            .map(|person| Account {
                person: *person,
                wrong_passwords: 0,
            })
            .collect();
        let inside = Inside {
            switches: Switches::default(),
            accounts,
            tokens: Tokens::default(),
            sessions: Sessions::default(),
            events: Events::default(),
            valid_calls: 0,
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

    /// Turns switches, also while it is served: `imis.switch(|s| s.bare_items = true)`.
    pub fn switch(&self, turn: impl FnOnce(&mut Switches)) {
        turn(&mut self.inside().switches);
    }

    /// Registers a client application, or replaces the one with the same client id.
    pub fn register(&self, application: ClientApplication) {
        self.switch(|switches| {
            switches
                .client_applications
                .retain(|known| known.client_id != application.client_id);
            switches.client_applications.push(application);
        });
    }

    /// Gives the demo's client application another Login redirect URL: that of the Portico under test.
    pub fn set_login_redirect_url(&self, login_redirect_url: &str) {
        self.register(ClientApplication {
            login_redirect_url: login_redirect_url.to_owned(),
            ..ClientApplication::demo()
        });
    }

    /// Plans a fault for every request to a place: `imis.fail("/token", Fault::Hang)`.
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

    /// One more person, as staff would add one.
    pub fn enroll(&self, person: ImisPerson) {
        self.inside().accounts.push(Account {
            person,
            wrong_passwords: 0,
        });
    }

    /// Changes a person, found by the present username: state, password, email, the username itself.
    pub fn change(&self, username: &str, change: impl FnOnce(&mut ImisPerson)) {
        self.inside().change(username, change);
    }

    /// A person as known now.
    pub fn person(&self, username: &str) -> Option<ImisPerson> {
        self.inside().person(username)
    }

    /// A refresh token such as the Single Sign On content item posts: for a user, or for the anonymous visitor.
    /// Nothing when there is no such user or client application.
    pub fn hand_out_refresh_token(
        &self,
        client_id: &str,
        username: Option<&str>,
    ) -> Option<String> {
        let now = self.clock.now();
        let inside = &mut *self.inside();
        let application = inside
            .switches
            .client_applications
            .iter()
            .find(|application| application.client_id == client_id)?
            .clone();
        let person = match username {
            Some(username) => inside.person(username)?,
            None => people::GUEST,
        };
        let seconds = inside.switches.refresh_token_seconds;
        let tokens = &mut inside.tokens;
        Some(tokens.issue_refresh(&person, &application, seconds, now))
    }

    /// What an administrator's "Purge System Cache" does: every token dies at once. Who is signed in on the web site
    /// stays so.
    pub fn purge_system_cache(&self) {
        let inside = &mut *self.inside();
        inside.tokens = Tokens::default();
        inside.valid_calls = 0;
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
    fn account_mut(&mut self, username: &str) -> Option<&mut Account> {
        let exactly = self.switches.usernames_case_sensitive;
        self.accounts
            .iter_mut()
            .find(|account| is_name(account.person.username, username, exactly))
    }

    fn person(&self, username: &str) -> Option<ImisPerson> {
        let exactly = self.switches.usernames_case_sensitive;
        self.people()
            .find(|person| is_name(person.username, username, exactly))
    }

    /// The person of a `UniformId`.
    fn owner(&self, uniform_id: &str) -> Option<ImisPerson> {
        self.people().find(|person| person.uniform_id == uniform_id)
    }

    fn people(&self) -> impl Iterator<Item = ImisPerson> {
        self.accounts.iter().map(|account| account.person)
    }

    fn change(&mut self, username: &str, change: impl FnOnce(&mut ImisPerson)) {
        let exactly = self.switches.usernames_case_sensitive;
        let mut accounts = self.accounts.iter();
        let place =
            accounts.position(|account| is_name(account.person.username, username, exactly));
        if let Some(place) = place {
            self.change_at(place, change);
        }
    }

    fn change_at(&mut self, place: usize, change: impl FnOnce(&mut ImisPerson)) {
        let Some(account) = self.accounts.get_mut(place) else {
            return;
        };
        let before = account.person;
        change(&mut account.person);
        account.wrong_passwords = 0;
        let password_changed = account.person.password != before.password;
        if password_changed && self.switches.password_change_ends_tokens {
            self.tokens.end_all_of(before.uniform_id);
        }
    }
}

/// Usernames are the same in any letter case, beyond ASCII too.
fn same_name(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

fn is_name(left: &str, right: &str, exactly: bool) -> bool {
    left == right || (!exactly && same_name(left, right))
}

impl Site for Imis {
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
        if let Some(rest) = below(request, &inside.switches.base_path) {
            let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
            let allows_cors = inside.switches.allows_cors;
            let service = match rest.as_slice() {
                ["token"] => Some(None),
                ["api", path @ ..] => Some(Some(path)),
                _ => None,
            };
            if let Some(path) = service {
                return wire::with_cors(allows_cors, request, || match path {
                    None => tokens::endpoint(inside, request, now),
                    Some(path) => api::answer(inside, request, path, now),
                });
            }
        }
        match below(request, &inside.switches.web_path) {
            Some(rest) => web::answer(inside, request, &rest, now),
            None => not_found(),
        }
    }
}

/// The path's segments below a base path, in lower case save what may be an id: iMIS runs on a server that
/// does not mind the letter case of paths. Nothing when the path is not below it.
fn below(request: &Recorded, base_path: &str) -> Option<Vec<String>> {
    let segments = request.segments();
    let base: Vec<&str> = base_path.split('/').filter(|s| !s.is_empty()).collect();
    let head = segments.get(..base.len())?;
    let below = head
        .iter()
        .zip(&base)
        .all(|(segment, base)| segment.eq_ignore_ascii_case(base));
    let rest = segments.get(base.len()..)?;
    below.then(|| rest.iter().map(|s| s.to_lowercase()).collect())
}

fn not_found() -> Reply {
    Reply::html(
        404,
        page::page(
            "404 - File or directory not found",
            "<p>This is a simulated iMIS.</p>",
        ),
    )
}
