//! What can be set differently on the simulated iMIS. Each switch is something that iMIS versions do
//! differently, or that no public text tells (so that an adapter must bear every setting).

use crate::simulator::Planned;

/// The switches, with the defaults of a current cloud edition ("EMS").
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches are independent of one another; they make no state machine"
)]
pub struct Switches {
    /// Where the token endpoint and `/api` live: empty, or `/Asi.Scheduler_Demo` as in self-hosted
    /// editions. Set it before serving: [`crate::simulator::Running::url`] carries it.
    pub base_path: String,
    /// Where the web site's pages live: empty, `/iMIS`, `/Web`.
    pub web_path: String,
    /// Field names, type names and services of this edition.
    pub edition: Edition,

    /// Life of an access token. iMIS: 1199 s, whatever the refresh token's life is.
    pub access_token_seconds: i64,
    /// How much the token endpoint tells on success.
    pub token_shape: TokenShape,
    /// How it tells `expires_in`.
    pub expires_in: ExpiresIn,
    /// In which letters it repeats the username.
    pub user_name_as: UserNameAs,
    /// Whether the password grant gives a refresh token.
    pub password_grant_gives_refresh_token: bool,
    /// How refusals of the token endpoint look.
    pub token_errors: TokenErrors,
    /// Whether refusals say which state the account is in, or the same text for all.
    pub tells_account_state: bool,
    /// Wrong passwords in a row that lock an account; none: never.
    pub lock_after: Option<u32>,
    /// Whether the password of a staff user with a second factor is enough for a token.
    pub password_grant_ignores_multi_factor: bool,

    /// The client applications that redeem refresh tokens.
    pub client_applications: Vec<ClientApplication>,
    /// What becomes of a refresh token once it was used.
    pub refresh_tokens: RefreshTokens,

    /// What a member's own token, without the role `RemoteService`, is good for.
    pub member_rights: MemberRights,
    /// What `/api/User` finds.
    pub user_lookup: UserLookup,
    /// Whether lists stand in `Items` directly rather than in `Items.$values`.
    pub bare_items: bool,
    /// Whether values in property bags are wrapped as `{"$type", "$value"}`.
    pub wrapped_values: bool,
    /// What `UserSecurity/_execute` does.
    pub execute: Execute,
    /// Who may read groups and committees.
    pub groups: Groups,
    /// The attribute that holds the day to which a membership is paid; its name is not public. None: no attribute does.
    pub paid_through_name: Option<String>,
    /// Whether dates in property bags are wrapped as `{"$type": "System.DateTime", "$value"}`.
    pub wrapped_dates: bool,
    /// Whether records have a `UniformId`.
    pub tells_uniform_id: bool,
    /// Whether a person is told as `ComboPartyData` rather than `PersonData`.
    pub combo_party: bool,
    /// Whether the saved queries are available via the REST API; if not, they are 404 for everyone.
    pub queries_for_rest: bool,
    /// About whom the profile query is.
    pub query_subject: QuerySubject,
    /// How a query tells that a column is empty.
    pub query_empty: QueryEmpty,
    /// Whether a written entity must have `$type` as its first property.
    pub type_first: bool,
    /// Whether a member's own token may write other people's records, as was seen in 2019.
    pub members_write_others: bool,
    /// Whether answers of the API set an anti-forgery cookie.
    pub sets_cookies: bool,
    /// The `userName` of an anonymous visitor's token: `Guest`, `anonymous`, empty; none: the answer has no `userName`.
    pub guest_user_name: Option<String>,

    /// Where the single sign-on pages live, below the web path: `{sso_path}/{client_id}.aspx`. Sites choose it freely.
    pub sso_path: String,
    /// What the single sign-on page does with a visitor who is not signed in.
    pub anonymous_sso: AnonymousSso,
    /// How it sends the refresh token.
    pub sso_delivery: Delivery,
    /// Names and values that it sends along, which no client knows.
    pub sso_extra_fields: Vec<(String, String)>,
    /// Whether the sign-in page sends the browser on to `ReturnUrl` (a path of the own site), or home.
    pub sign_in_honors_return_url: bool,
    /// Whether the logout page sends the browser on to `returnurl`.
    pub logout_honors_return_url: bool,

    /// Faults, the first that fits is met.
    pub faults: Vec<Planned>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            web_path: String::new(),
            edition: Edition::Ems,
            access_token_seconds: 1199,
            token_shape: TokenShape::Minimal,
            expires_in: ExpiresIn::Number,
            user_name_as: UserNameAs::Stored,
            password_grant_gives_refresh_token: false,
            token_errors: TokenErrors::Json,
            tells_account_state: true,
            lock_after: Some(5),
            password_grant_ignores_multi_factor: false,
            client_applications: vec![ClientApplication::demo()],
            refresh_tokens: RefreshTokens::Rotating,
            member_rights: MemberRights::OwnRecord,
            user_lookup: UserLookup::Right,
            bare_items: false,
            wrapped_values: true,
            execute: Execute::Works,
            groups: Groups::Readable,
            paid_through_name: Some("PaidThroughDate".to_owned()),
            wrapped_dates: false,
            tells_uniform_id: true,
            combo_party: false,
            queries_for_rest: true,
            query_subject: QuerySubject::Either,
            query_empty: QueryEmpty::Empty,
            type_first: true,
            members_write_others: false,
            sets_cookies: true,
            guest_user_name: Some("Guest".to_owned()),
            sso_path: "/SSO".to_owned(),
            anonymous_sso: AnonymousSso::Guest,
            sso_delivery: Delivery::Post,
            sso_extra_fields: Vec::new(),
            sign_in_honors_return_url: true,
            logout_honors_return_url: true,
            faults: Vec::new(),
        }
    }
}

/// Which iMIS this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Cloud (20.3 and 100): query service, `Asi.Contracts`.
    Ems,
    /// iMIS 2017 (20.2): `/api/iqa` only, older assemblies and shapes, no `_execute`.
    Imis2017,
}

/// How much a token answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenShape {
    /// What public clients rely on: token, type, life; the refresh grant also `userName` and a refresh token.
    Minimal,
    /// All that servers of this family send: `userName`, `as:client_id`, `.issued`, `.expires` too.
    Full,
}

/// How the life of the access token is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiresIn {
    /// `1199`.
    Number,
    /// `"1199"`.
    Text,
    /// Not at all.
    Absent,
}

/// Letter case of `userName` in token answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserNameAs {
    /// As the account has it.
    Stored,
    /// As it was typed (where nothing was typed: as stored).
    Typed,
    /// In upper case.
    Upper,
    /// In lower case.
    Lower,
}

/// How refusals of the token endpoint look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenErrors {
    /// 400, `error` and `error_description`.
    Json,
    /// 400, `error` alone.
    JsonWithoutDescription,
    /// 400 and no body.
    Bare,
    /// 500 and an error page.
    ErrorPage,
    /// 200 with `error` in the body.
    OkWithError,
}

/// What becomes of a refresh token once it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokens {
    /// It stays good, and is told again.
    Reusable,
    /// It dies, and a new one is told.
    Rotating,
    /// It dies, and there is no new one.
    SingleUse,
}

/// What a member's own token is good for on `/api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRights {
    /// Reading the own record.
    OwnRecord,
    /// Nothing: 401.
    Unauthorized,
    /// Nothing: 403.
    Forbidden,
    /// There is no token: the password grant is refused without `RemoteService`.
    NoToken,
}

/// What a look-up of a user by name finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserLookup {
    /// Who was asked for.
    Right,
    /// Nobody.
    Empty,
    /// Somebody else: the filter is ignored, as some versions do with filters they do not know.
    SomebodyElse,
    /// Everybody, the one asked for somewhere among them.
    Everybody,
}

/// What `UserSecurity/_execute` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execute {
    /// It works for staff and service accounts.
    Works,
    /// 401 for all.
    Unauthorized,
    /// 501.
    NotImplemented,
    /// 200 with `IsSuccessStatusCode: false`.
    Unsuccessful,
    /// It works, and members too may ask for their own roles.
    OwnRolesToo,
}

/// Who may read groups and committees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// Members their own; staff and service accounts all.
    Readable,
    /// Staff and service accounts only; 403 for members.
    ServiceAccount,
    /// Nobody: 404.
    Missing,
}

/// About whom the profile query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuerySubject {
    /// Whom the parameter names, or without one the caller.
    Either,
    /// The caller (a filter on `LoggedInUserKey`), whatever the parameter says.
    LoggedInUser,
    /// Whom the parameter names; without one, nobody.
    Parameter,
}

/// How a query tells that a column is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryEmpty {
    /// `""`.
    Empty,
    /// `null`.
    Null,
    /// The column is left out.
    Omitted,
}

/// What the single sign-on page does with a visitor who is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousSso {
    /// It sends a refresh token of the Guest, who has no record.
    Guest,
    /// It sends the browser to the sign-in page, with itself as `ReturnUrl`.
    SignIn,
}

/// How the single sign-on page sends the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In a form that submits itself.
    Post,
    /// In the query of a redirect.
    Get,
}

/// An iMIS "client application", to which a Single Sign On content item hands refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientApplication {
    /// Free text chosen by the administrator; often the name of the page too.
    pub client_id: String,
    /// Chosen by the administrator.
    pub client_secret: String,
    /// Life of its refresh tokens.
    pub refresh_token_minutes: i64,
    /// The one address that the content item posts to.
    pub login_redirect_url: String,
}

impl ClientApplication {
    /// The application of the demo.
    pub fn demo() -> Self {
        Self {
            client_id: "Portico".to_owned(),
            client_secret: "sso-demo-secret".to_owned(),
            refresh_token_minutes: 30,
            login_redirect_url: "http://localhost:8080/upstream/members/landing/Portico".to_owned(),
        }
    }
}
