//! The simulated aiM18 as its live control, and the lists of the command line, see it.

use super::{Aim18, Application, Grants, Inside, Records, Switches};
use crate::simulator::control::{Action, Controlled, Person, Registered};
use crate::simulator::fault::Planned;
use crate::simulator::people::{AIM18, Aim18Person};
use crate::simulator::switch::{Described, properties, turn};
use crate::simulator::wire::Recorded;

properties! {
    /// What can be changed of a user.
    const PROPERTIES: Aim18Person {
        code: &'static str = "The login name.",
        password: &'static str = "The password.",
        enabled: bool = "Whether the user is switched on.",
        locked: bool = "Whether too many wrong passwords were typed.",
        desc_en: &'static str = "The name in English.",
        desc_zh_tw: &'static str = "The name in traditional Chinese.",
        desc_zh_cn: &'static str = "The name in simplified Chinese.",
        email: &'static str = "The email; empty when there is none.",
        be_ids: &'static [i64] = "The business entities that the user works for; the first is the own one.",
        language: &'static str = "The language: en, zh-TW, zh-CN.",
        modules: &'static [&'static str] = "The modules on which the user has rights.",
    }
}

/// An action: its name, what it does, and how.
type Act = (&'static str, &'static str, fn(&mut Aim18Person));

const ACTIONS: [Act; 5] = [
    ("lock", "As after too many wrong passwords.", |person| {
        person.locked = true;
    }),
    ("unlock", "The user may log in again.", |person| {
        person.locked = false;
    }),
    ("disable", "The user is switched off.", |person| {
        person.enabled = false;
    }),
    ("enable", "The user is switched on.", |person| {
        person.enabled = true;
    }),
    ("restore", "Everything as at the start.", |person| {
        let seed = AIM18.iter().find(|seed| seed.uid == person.uid);
        *person = seed.copied().unwrap_or(*person);
    }),
];

/// Every user at the start.
pub fn seeded() -> Vec<Person> {
    AIM18.iter().map(told).collect()
}

fn told(person: &Aim18Person) -> Person {
    let state = match (person.enabled, person.locked) {
        (false, _) => "disabled",
        (true, true) => "locked",
        (true, false) => "active",
    };
    let properties = PROPERTIES.iter();
    Person {
        id: person.uid.to_string(),
        username: person.code.to_owned(),
        password: person.password.to_owned(),
        about: person.about,
        state: state.to_owned(),
        properties: properties
            .map(|property| property.describe(person))
            .collect(),
    }
}

impl Inside {
    /// The place of a user, by id or by login name.
    fn place(&self, who: &str) -> Result<usize, String> {
        let people = &self.people;
        people
            .iter()
            .position(|person| person.uid.to_string() == who)
            .or_else(|| people.iter().position(|person| person.code == who))
            .ok_or_else(|| format!("person: nobody is {who}"))
    }
}

impl Controlled for Aim18 {
    fn system(&self) -> &'static str {
        "aiM18"
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
        self.inside().people.iter().map(told).collect()
    }

    fn change_person(&self, who: &str, changes: &[(String, String)]) -> Result<(), String> {
        let inside = &mut *self.inside();
        let place = inside.place(who)?;
        let Some(mut person) = inside.people.get(place).copied() else {
            return Ok(());
        };
        turn(PROPERTIES, &mut person, changes)?;
        if person.code.is_empty() {
            return Err("code: must not be empty".to_owned());
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
        let known = switches.applications.iter();
        known
            .map(|one| Registered {
                client_id: one.client_id.clone(),
                url: one.callback.clone(),
            })
            .collect()
    }

    fn register_application(&self, client_id: &str, client_secret: &str, url: &str) {
        self.register(Application {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            callback: url.to_owned(),
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
        self.forget_tokens();
    }

    fn reset(&self) {
        let inside = &mut *self.inside();
        inside.switches = Switches {
            applications: std::mem::take(&mut inside.switches.applications),
            ..Switches::default()
        };
        inside.people = AIM18.to_vec();
        inside.wrong_passwords.clear();
        inside.grants = Grants::default();
        inside.records = Records::default();
    }

    fn last_requests(&self, count: usize) -> Vec<(Recorded, Option<u16>)> {
        self.inside().log.last(count)
    }

    fn forget_requests(&self) {
        self.clear_log();
    }

    fn secret_parameters(&self) -> Vec<String> {
        vec![self.inside().switches.code_name.clone()]
    }
}
