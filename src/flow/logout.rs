//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0): what may be done at once, and where the browser goes.

use crate::model::audit::Event;
use crate::model::client::Client;
use crate::model::session::Session;
use crate::protocol::claims::IdTokenClaims;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::SessionId;
use crate::protocol::redirect_uri::RedirectUri;
use crate::telemetry::Entry;

use super::accounts::By;
use super::{Flow, LoggedIn};

/// What to do with a logout request.
#[derive(Debug, PartialEq, Eq)]
pub enum LogoutStep<'a> {
    /// Nobody is logged in: nothing to end.
    Done,
    /// End this session: the client proved, with an ID token of this very session, that it may.
    End(&'a Session),
    /// Ask the person of this session first: anybody can make a browser come here (section 2 of the specification).
    Confirm(&'a Session),
}

/// How a person signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutWay {
    /// On a page of ours.
    Here,
    /// At an app, which proved that it may end the session unasked.
    AtTheApp,
    /// At the upstream, whose site says so.
    AtTheUpstream,
}

impl LogoutWay {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "signed out",
            Self::AtTheApp => "signed out at the app",
            Self::AtTheUpstream => "signed out at the upstream",
        }
    }
}

/// Decides, from the sessions of this browser, the current one first, those of it that are over by the clock alone, a verified
/// `id_token_hint`, and the one of the latter whose person it names, if it is of an earlier login of theirs.
pub fn next_step<'a>(
    sessions: &[&'a Session],
    lapsed: &[&'a Session],
    hint: Option<&IdTokenClaims>,
    lapsed_person: Option<&SessionId>,
) -> LogoutStep<'a> {
    let sid = hint.and_then(|hint| hint.sid.as_ref());
    let mut all = sessions.iter().chain(lapsed);
    let hinted = all.find(|session| sid == Some(&session.id));
    let hinted = hinted.or_else(|| {
        let mut lapsed = lapsed.iter();
        lapsed.find(|session| lapsed_person == Some(&session.id))
    });
    match (hinted, sessions.first()) {
        (Some(hinted), _) => LogoutStep::End(hinted),
        (None, Some(first)) => LogoutStep::Confirm(first),
        (None, None) => LogoutStep::Done,
    }
}

/// The session that `logout_hint` means: its `sid`, or what its person would type to log in. Of several with that name, none.
pub fn meant(people: &[&LoggedIn], hint: &str) -> Option<SessionId> {
    let is_meant = |who: &&&LoggedIn| {
        who.session.id.as_str() == hint || who.account.profile.has_login_name(hint)
    };
    let mut meant = people.iter().filter(is_meant);
    let who = meant.next()?;
    meant.next().is_none().then(|| who.session.id.clone())
}

/// Where the browser may go afterwards: an address registered by the client that the request names, letter by letter.
/// Without a client no address is believed (T6).
pub fn destination<'a>(
    client: Option<&'a Client>,
    requested: Option<&str>,
) -> Result<Option<&'a RedirectUri>, OAuthError> {
    let Some(requested) = requested else {
        return Ok(None);
    };
    let client = client.ok_or_else(|| {
        OAuthError::invalid_request(
            "post_logout_redirect_uri needs id_token_hint or client_id beside it",
        )
    })?;
    client
        .post_logout_redirect_uri(requested)
        .map(Some)
        .ok_or_else(|| {
            OAuthError::invalid_request(
                "post_logout_redirect_uri is not registered for this client",
            )
        })
}

impl Flow {
    /// Whether the session of which a verified ID token tells has ended. One that has no row any more has ended long ago.
    pub async fn has_ended(&self, hint: &IdTokenClaims) -> Result<bool, OAuthError> {
        let Some(sid) = &hint.sid else {
            return Ok(false);
        };
        let session = self.store.find_session(sid).await?;
        Ok(session.is_none_or(|session| session.ended_at.is_some()))
    }

    /// Ends a session, and the families that belong to it.
    pub async fn log_out(&self, session: &Session, way: LogoutWay) -> Result<(), OAuthError> {
        let ended = self
            .store
            .end_session(&session.id, self.clock.now())
            .await?;
        if ended {
            let entry = Entry::new(Event::LoggedOut)
                .session(&session.id)
                .account(&session.account_id)
                .upstream(&session.upstream)
                .with("by", By::Person.as_str())
                .with("reason", way.as_str());
            self.audit.record(entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::UpstreamId;
    use crate::protocol::ids::{AccountId, ClientId};
    use crate::protocol::issuer::Issuer;

    fn session(id: &str) -> Session {
        Session {
            id: SessionId::new(id),
            account_id: AccountId::new("a"),
            upstream: UpstreamId::new("u"),
            upstream_subject: None,
            auth_time: 0,
            began_at: 0,
            amr: vec![],
            acr: None,
            last_seen_at: 0,
            expires_at: 10,
            ended_at: None,
            persistent: false,
            device: crate::model::device::Device::default(),
        }
    }

    fn hint(sid: &str) -> IdTokenClaims {
        IdTokenClaims {
            iss: Issuer::parse("https://login.example.org").unwrap(),
            sub: "s".into(),
            aud: ClientId::new("c"),
            exp: 0,
            iat: 0,
            auth_time: 0,
            nonce: None,
            at_hash: None,
            c_hash: None,
            more: std::collections::BTreeMap::new(),
            amr: vec![],
            acr: None,
            sid: Some(SessionId::new(sid)),
        }
    }

    #[test]
    fn only_the_sessions_own_id_token_ends_it_unasked() {
        let (here, beside) = (session("1"), session("2"));
        let lapsed = session("9");
        let named = |sessions: &[&'static str], sid: Option<&str>, named: Option<&str>| {
            let all: Vec<Session> = sessions.iter().map(|id| session(id)).collect();
            let all: Vec<&Session> = all.iter().collect();
            let (hint, named) = (sid.map(hint), named.map(SessionId::new));
            let step = next_step(&all, &[&lapsed], hint.as_ref(), named.as_ref());
            format!("{step:?}")
        };
        let step = |sessions: &[&'static str], sid| named(sessions, sid, None);
        let text = |step: LogoutStep<'_>| format!("{step:?}");
        let (end, confirm) = (LogoutStep::End, LogoutStep::Confirm);
        assert_eq!(step(&[], Some("1")), text(LogoutStep::Done));
        assert_eq!(step(&["1"], Some("1")), text(end(&here)));
        assert_eq!(step(&["1"], Some("2")), text(confirm(&here)));
        assert_eq!(step(&["1"], None), text(confirm(&here)));
        // Wherever it is among several.
        assert_eq!(step(&["1", "2"], Some("2")), text(end(&beside)));
        assert_eq!(step(&["1", "2"], Some("1")), text(end(&here)));
        assert_eq!(step(&["2", "1"], Some("3")), text(confirm(&beside)));
        assert_eq!(step(&["1", "2"], None), text(confirm(&here)));
        // One that the clock alone says is over is ended, and never asked about.
        assert_eq!(step(&[], Some("9")), text(end(&lapsed)));
        assert_eq!(step(&["1"], Some("9")), text(end(&lapsed)));
        assert_eq!(step(&[], None), text(LogoutStep::Done));
        assert_eq!(named(&["1"], Some("7"), Some("9")), text(end(&lapsed)));
        assert_eq!(named(&["1"], Some("1"), Some("9")), text(end(&here)));
        // A live one is never ended by the name of its person.
        assert_eq!(named(&["1"], Some("7"), Some("1")), text(confirm(&here)));
    }
}
