//! Who has something fetched: it decides what may be reached (T36), and whose budget pays (T38).

use crate::model::client::Client;
use crate::model::throttle;

use super::Wanted;

/// The most fetches in a minute at one node that one client causes, or one address, or all who register.
const PER_MINUTE: u32 = 30;
/// The most of one kind that all clients cause together that registered themselves: each is easily had.
const PER_MINUTE_OF_REGISTERED: u32 = 300;

/// Who has something fetched.
#[derive(Clone, Copy)]
pub enum Asker<'a> {
    /// A client, for its own keys.
    Client(&'a Client),
    /// Whoever names a client and has proven nothing, at an address. It is not for them to use up what the client has.
    Stranger(&'a Client, &'a str),
    /// Whoever registers a client, or changes its registration.
    Registering,
}

/// What a fetch is counted in, and how many that takes in a minute.
pub(super) type Budget = (String, u32);

impl Asker<'_> {
    /// Whether an administrator has chosen who names the address.
    pub(super) fn is_chosen(self) -> bool {
        match self {
            Self::Client(client) | Self::Stranger(client, _) => !client.registered,
            Self::Registering => false,
        }
    }

    /// For whom it is fetched.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Client(client) | Self::Stranger(client, _) => client.client_id.as_str(),
            Self::Registering => "",
        }
    }

    /// All of them have to have room. Of a client, keys have a budget of their own.
    pub(super) fn budgets(self, wanted: Wanted) -> Vec<Budget> {
        let own = match self {
            Self::Client(client) => format!("client\n{wanted:?}\n{}", client.client_id),
            Self::Stranger(_, address) => format!("stranger\n{}", throttle::place(address)),
            Self::Registering => "registering".to_owned(),
        };
        let mut budgets = vec![(own, PER_MINUTE)];
        if let Self::Client(client) | Self::Stranger(client, _) = self
            && client.registered
        {
            budgets.push((format!("registered\n{wanted:?}"), PER_MINUTE_OF_REGISTERED));
        }
        budgets
    }
}
