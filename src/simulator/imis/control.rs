//! The simulated iMIS as its live control, and the lists of the command line, see it.

use super::{ClientApplication, Events, Imis, Inside, Switches, Tokens, same_name};
use crate::simulator::control::{Action, Controlled, Person, Registered};
use crate::simulator::fault::Planned;
use crate::simulator::people::{AccountState, Group, IMIS, ImisPerson};
use crate::simulator::switch::{Described, properties, turn};
use crate::simulator::wire::Recorded;

properties! {
    /// What can be changed of a person.
    const PROPERTIES: ImisPerson {
        username: &'static str = "The login name.",
        password: &'static str = "The password.",
        state: AccountState = "Whether the account may log in.",
        given_name: &'static str = "First name.",
        family_name: &'static str = "Last name.",
        email: &'static str = "Primary email; empty when there is none.",
        status: &'static str = "PartyStatusId: A active, I inactive, D deceased.",
        is_member: bool = "IsMember: whether the membership is current.",
        customer_type: (&'static str, &'static str) = "CustomerTypeCode and CustomerTypeDescription.",
        join_date: &'static str = "JoinDate, without a zone; empty when there is none.",
        paid_through: &'static str = "The day to which the membership is paid; empty when there is none.",
        roles: &'static [&'static str] = "Role names. RemoteService and SysAdmin may read everybody.",
        groups: &'static [Group] = "Groups and committees.",
        marked_for_delete: bool = "IsMarkedForDelete: whether the record waits to be purged.",
        is_organization: bool = "IsOrganization: whether the record is an organization's.",
    }
}

/// An action: its name, what it does, and how.
type Act = (&'static str, &'static str, fn(&mut ImisPerson));

const ACTIONS: [Act; 9] = [
    ("lock", "As after too many wrong passwords.", |person| {
        person.state = AccountState::Locked;
    }),
    ("disable", "As staff switches an account off.", |person| {
        person.state = AccountState::Disabled;
    }),
    ("expire", "The login's expiry date has passed.", |person| {
        person.state = AccountState::LoginExpired;
    }),
    (
        "expire-password",
        "The password must be changed first.",
        |person| {
            person.state = AccountState::PasswordExpired;
        },
    ),
    ("activate", "The account may log in again.", |person| {
        person.state = AccountState::Active;
    }),
    (
        "lapse",
        "The membership has ended; the login works.",
        |person| {
            person.is_member = false;
            person.status = "I";
            person.paid_through = "2024-12-31T00:00:00";
        },
    ),
    ("renew", "The membership is current again.", |person| {
        person.is_member = true;
        person.status = "A";
        person.paid_through = "2027-12-31T00:00:00";
    }),
    (
        "mark-for-deletion",
        "The record waits to be purged.",
        |person| {
            person.marked_for_delete = true;
        },
    ),
    ("restore", "Everything as at the start.", |person| {
        let seed = IMIS
            .iter()
            .find(|seed| seed.uniform_id == person.uniform_id);
        *person = seed.copied().unwrap_or(*person);
    }),
];

/// Every person at the start.
pub fn seeded() -> Vec<Person> {
    IMIS.iter().map(told).collect()
}

fn id(person: &ImisPerson) -> &'static str {
    if person.is_guest() {
        person.username
    } else {
        person.id
    }
}

fn told(person: &ImisPerson) -> Person {
    let properties: Vec<Described> = PROPERTIES
        .iter()
        .map(|property| property.describe(person))
        .collect();
    let state = properties.iter().find(|property| property.name == "state");
    Person {
        id: id(person).to_owned(),
        username: person.username.to_owned(),
        password: person.password.to_owned(),
        about: person.about,
        state: state.map(|state| state.value.clone()).unwrap_or_default(),
        properties,
    }
}

impl Inside {
    /// The place of a person, by iMIS id or by user name.
    fn place(&self, who: &str) -> Result<usize, String> {
        let by = |fits: &dyn Fn(&ImisPerson) -> bool| {
            let mut accounts = self.accounts.iter();
            accounts.position(|account| fits(&account.person))
        };
        by(&|person| id(person) == who)
            .or_else(|| by(&|person| person.username == who))
            .or_else(|| by(&|person| same_name(person.username, who)))
            .ok_or_else(|| format!("person: nobody is {who}"))
    }
}

impl Controlled for Imis {
    fn system(&self) -> &'static str {
        "iMIS"
    }

    fn control_hosts(&self) -> Vec<String> {
        self.inside().control_hosts.clone()
    }

    fn switches(&self) -> Vec<Described> {
        let switches = &self.inside().switches;
        let all = Switches::ALL.iter();
        all.map(|switch| switch.describe(switches)).collect()
    }

    fn turn(&self, changes: &[(String, String)]) -> Result<(), String> {
        turn(Switches::ALL, &mut self.inside().switches, changes)
    }

    fn people(&self) -> Vec<Person> {
        let inside = self.inside();
        inside.people().map(|person| told(&person)).collect()
    }

    fn change_person(&self, who: &str, changes: &[(String, String)]) -> Result<(), String> {
        let inside = &mut *self.inside();
        let place = inside.place(who)?;
        let Some(mut person) = inside.accounts.get(place).map(|account| account.person) else {
            return Ok(());
        };
        turn(PROPERTIES, &mut person, changes)?;
        if person.username.is_empty() {
            return Err("username: must not be empty".to_owned());
        }
        inside.change_at(place, |known| *known = person);
        Ok(())
    }

    fn actions(&self) -> Vec<Action> {
        let actions = ACTIONS.iter();
        actions
            .map(|(name, meaning, _)| Action { name, meaning })
            .collect()
    }

    fn act(&self, who: &str, action: &str) -> Result<(), String> {
        let (_, _, act) = ACTIONS
            .iter()
            .find(|(name, ..)| *name == action)
            .ok_or_else(|| format!("do: there is no {action}"))?;
        let inside = &mut *self.inside();
        let place = inside.place(who)?;
        inside.change_at(place, act);
        Ok(())
    }

    fn applications(&self) -> Vec<Registered> {
        let switches = &self.inside().switches;
        let known = switches.client_applications.iter();
        known
            .map(|one| Registered {
                client_id: one.client_id.clone(),
                url: one.login_redirect_url.clone(),
            })
            .collect()
    }

    fn register_application(&self, client_id: &str, client_secret: &str, url: &str) {
        self.register(ClientApplication {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            login_redirect_url: url.to_owned(),
            ..ClientApplication::demo()
        });
    }

    fn faults(&self) -> Vec<Planned> {
        self.inside().switches.faults.clone()
    }

    fn plan(&self, planned: Planned) {
        self.plan_fault(planned);
    }

    fn mend_all(&self) {
        self.mend();
    }

    fn purge(&self) {
        self.purge_system_cache();
    }

    fn reset(&self) {
        let inside = &mut *self.inside();
        inside.switches = Switches {
            client_applications: std::mem::take(&mut inside.switches.client_applications),
            ..Switches::default()
        };
        for account in &mut inside.accounts {
            let seed = IMIS
                .iter()
                .find(|seed| seed.uniform_id == account.person.uniform_id);
            account.person = seed.copied().unwrap_or(account.person);
            account.wrong_passwords = 0;
        }
        inside.tokens = Tokens::default();
        inside.events = Events::default();
    }

    fn last_requests(&self, count: usize) -> Vec<(Recorded, Option<u16>)> {
        self.inside().log.last(count)
    }

    fn forget_requests(&self) {
        self.clear_log();
    }

    fn secret_parameters(&self) -> Vec<String> {
        Vec::new()
    }
}
