//! What can be set differently on the simulated iMIS. Each switch is something that iMIS versions do
//! differently, or that no public text tells (so that an adapter must bear every setting).

use crate::simulator::Planned;
use crate::simulator::switch::{switches, words};

switches! {
    /// The switches, with the defaults of a current cloud edition ("EMS").
    pub struct Switches {
        /// Where the token endpoint and `/api` live: empty, or `/Asi.Scheduler_Demo` as in self-hosted
        /// editions.
        pub base_path: String = String::new(),
        /// Where the web site's pages live: empty, `/iMIS`, `/Web`.
        pub web_path: String = String::new(),
        /// Field names, type names and services of this edition.
        pub edition: Edition = Edition::Ems,
        /// Life of an access token. iMIS: 1199 s, whatever the refresh token's life is.
        pub access_token_seconds: i64 = 1199,
        /// How much the token endpoint tells on success.
        pub token_shape: TokenShape = TokenShape::Minimal,
        /// How it tells `expires_in`.
        pub expires_in: ExpiresIn = ExpiresIn::Number,
        /// In which letters it repeats the username.
        pub user_name_as: UserNameAs = UserNameAs::Stored,
        /// Whether the password grant gives a refresh token.
        pub password_grant_gives_refresh_token: bool = false,
        /// Whether the token endpoint takes the parameters by GET too, as one public client sends them.
        pub token_by_get: bool = false,
        /// Whether client id and secret may come by HTTP Basic.
        pub accepts_basic: bool = false,
        /// How refusals of the token endpoint look.
        pub token_errors: TokenErrors = TokenErrors::Json,
        /// Whether refusals say which state the account is in, or the same text for all.
        pub tells_account_state: bool = true,
        /// Wrong passwords in a row that lock an account; none: never.
        pub lock_after: Option<u32> = Some(5),
        /// Whether the password of a staff user with a second factor is enough for a token.
        pub password_grant_ignores_multi_factor: bool = false,
        /// The code that the password grant takes from a staff user with a second factor, appended to the password; none: it takes none.
        pub appended_code: Option<String> = None,
        /// Whether the iMIS password of a user of the OpenID Connect module is enough for a token.
        pub password_grant_ignores_oidc_only: bool = false,
        /// Whether usernames that differ only in their letter case are two users.
        pub usernames_case_sensitive: bool = false,
        /// Whether access tokens of a user who was locked, disabled or expired die at once.
        pub disable_ends_access: bool = false,
        /// Whether all tokens of a user die when the password changes.
        pub password_change_ends_tokens: bool = false,
        /// Every how many calls a valid access token is refused with 401 nevertheless, as was seen on 20.3; none: never.
        pub denies_valid_token_every: Option<u32> = None,
        /// Whether pages of other origins may call the token endpoint and the API; iMIS answers a preflight with 405.
        pub allows_cors: bool = false,
        /// What becomes of a refresh token once it was used.
        pub refresh_tokens: RefreshTokens = RefreshTokens::Rotating,
        /// Seconds that refresh tokens live, in place of what their application says (30 minutes); none: what it says.
        pub refresh_token_seconds: Option<u32> = None,
        /// What a member's own token, without the role `RemoteService`, is good for.
        pub member_rights: MemberRights = MemberRights::OwnRecord,
        /// What `/api/User` finds.
        pub user_lookup: UserLookup = UserLookup::Right,
        /// Whether lists stand in `Items` directly rather than in `Items.$values`.
        pub bare_items: bool = false,
        /// Whether values in property bags are wrapped as `{"$type", "$value"}`.
        pub wrapped_values: bool = true,
        /// What `UserSecurity/_execute` does.
        pub execute: Execute = Execute::Works,
        /// Who may read groups and committees.
        pub groups: Groups = Groups::Readable,
        /// Whether lists of groups' members heed their filters; if not, everybody's rows come.
        pub group_filter: bool = true,
        /// The most rows on a page of a list; none: 500.
        pub page_rows: Option<u32> = None,
        /// The attribute that holds the day to which a membership is paid; its name is not public. None: no attribute does.
        pub paid_through_name: Option<String> = Some("PaidThroughDate".to_owned()),
        /// Whether dates in property bags are wrapped as `{"$type": "System.DateTime", "$value"}`.
        pub wrapped_dates: bool = false,
        /// Whether records have a `UniformId`.
        pub tells_uniform_id: bool = true,
        /// Whether a whole record (`Party`) has it, too, or only what tells somebody in short, such as `User.Party`.
        pub party_tells_uniform_id: bool = true,
        /// Whether whole records (`Party`) may be read, or in short (`PartySummary`) only.
        pub reads_whole_records: bool = true,
        /// Whether a person is told as `ComboPartyData` rather than `PersonData`.
        pub combo_party: bool = false,
        /// Whether the saved queries are available via the REST API; if not, they are 404 for everyone.
        pub queries_for_rest: bool = true,
        /// Which of the two services that run saved queries there are.
        pub query_services: QueryServices = QueryServices::ByEdition,
        /// About whom the profile query is.
        pub query_subject: QuerySubject = QuerySubject::Either,
        /// How a query tells that a column is empty.
        pub query_empty: QueryEmpty = QueryEmpty::Empty,
        /// Whether a written entity must have `$type` as its first property.
        pub type_first: bool = true,
        /// Whether a member's own token may write other people's records, as was seen in 2019.
        pub members_write_others: bool = false,
        /// Whether answers of the API set an anti-forgery cookie.
        pub sets_cookies: bool = true,
        /// The `userName` of an anonymous visitor's token: `Guest`, `anonymous`, empty; none: the answer has no `userName`.
        pub guest_user_name: Option<String> = Some("Guest".to_owned()),
        /// Where the single sign-on pages live, below the web path: `{sso_path}/{client_id}.aspx`. Sites choose it freely.
        pub sso_path: String = "/SSO".to_owned(),
        /// What the single sign-on page does with a visitor who is not signed in.
        pub anonymous_sso: AnonymousSso = AnonymousSso::Guest,
        /// How it sends the refresh token.
        pub sso_delivery: Delivery = Delivery::Post,
        /// Names and values that it sends along, which no client knows.
        pub sso_extra_fields: Vec<(String, String)> = Vec::new(),
        /// Whether the sign-in page sends the browser on to `ReturnUrl` (a path of the own site), or home.
        pub sign_in_honors_return_url: bool = true,
        /// Whether the logout page sends the browser on to `returnurl`.
        pub logout_honors_return_url: bool = true,
        /// Where the site sends people on who have signed out, or who come to `/SingleLogout.aspx` without being signed in: an absolute address, such
        /// as the end-session address of an application; none: they stay.
        pub signed_out_url: Option<String> = None,
        /// How it does so.
        pub signed_out_by: SignedOutBy = SignedOutBy::Redirect,
        and
        /// The client applications that redeem refresh tokens.
        pub client_applications: Vec<ClientApplication> = vec![ClientApplication::demo()],
        /// Faults, the first that fits is met.
        pub faults: Vec<Planned> = Vec::new(),
    }
}

words! {
    /// Which iMIS this is.
    pub enum Edition {
        /// Cloud (20.3 and 100): query service, `Asi.Contracts`.
        Ems = "ems",
        /// iMIS 2017 (20.2): `/api/iqa` only, older assemblies and shapes, no `_execute`.
        Imis2017 = "imis2017",
    }
}

words! {
    /// How much a token answer holds.
    pub enum TokenShape {
        /// What public clients rely on: token, type, life; the refresh grant also `userName` and a refresh token.
        Minimal = "minimal",
        /// All that servers of this family send: `userName`, `as:client_id`, `.issued`, `.expires` too.
        Full = "full",
    }
}

words! {
    /// How the life of the access token is told.
    pub enum ExpiresIn {
        /// `1199`.
        Number = "number",
        /// `"1199"`.
        Text = "text",
        /// Not at all.
        Absent = "absent",
        /// `0`, as if it were dead already.
        Zero = "zero",
    }
}

words! {
    /// Letter case of `userName` in token answers.
    pub enum UserNameAs {
        /// As the account has it.
        Stored = "stored",
        /// As it was typed (where nothing was typed: as stored).
        Typed = "typed",
        /// In upper case.
        Upper = "upper",
        /// In lower case.
        Lower = "lower",
    }
}

words! {
    /// How refusals of the token endpoint look.
    pub enum TokenErrors {
        /// 400, `error` and `error_description`.
        Json = "json",
        /// 400, `error` alone.
        JsonWithoutDescription = "json-without-description",
        /// 400 and no body.
        Bare = "bare",
        /// 400, and an `error` that RFC 6749 does not know for a refused user.
        OtherCode = "other-code",
        /// 400 and a line of text for a refused user.
        Text = "text",
        /// 500 and an error page.
        ErrorPage = "error-page",
        /// 200 with `error` in the body.
        OkWithError = "ok-with-error",
    }
}

words! {
    /// What becomes of a refresh token once it was used.
    pub enum RefreshTokens {
        /// It stays good, and is told again.
        Reusable = "reusable",
        /// It stays good, and is not told again.
        ReusableUntold = "reusable-untold",
        /// It dies, and a new one is told.
        Rotating = "rotating",
        /// It dies, and there is no new one.
        SingleUse = "single-use",
    }
}

words! {
    /// What a member's own token is good for on `/api`.
    pub enum MemberRights {
        /// Reading the own record.
        OwnRecord = "own-record",
        /// Nothing: 401.
        Unauthorized = "unauthorized",
        /// Nothing: 403.
        Forbidden = "forbidden",
        /// There is no token: the password grant is refused without `RemoteService`.
        NoToken = "no-token",
    }
}

words! {
    /// What a look-up of a user by name finds.
    pub enum UserLookup {
        /// Who was asked for.
        Right = "right",
        /// Nobody.
        Empty = "empty",
        /// Somebody else: the filter is ignored, as some versions do with filters they do not know.
        SomebodyElse = "somebody-else",
        /// Everybody, the one asked for somewhere among them.
        Everybody = "everybody",
    }
}

words! {
    /// What `UserSecurity/_execute` does.
    pub enum Execute {
        /// It works for staff and service accounts.
        Works = "works",
        /// 401 for all.
        Unauthorized = "unauthorized",
        /// 501.
        NotImplemented = "not-implemented",
        /// 200 with `IsSuccessStatusCode: false`.
        Unsuccessful = "unsuccessful",
        /// It works, and members too may ask for their own roles.
        OwnRolesToo = "own-roles-too",
    }
}

words! {
    /// Who may read groups and committees.
    pub enum Groups {
        /// Members their own; staff and service accounts all.
        Readable = "readable",
        /// Staff and service accounts only; 403 for members.
        ServiceAccount = "service-account",
        /// Nobody: 404.
        Missing = "missing",
    }
}

words! {
    /// Which services run saved queries.
    pub enum QueryServices {
        /// `/api/query` and `/api/iqa`; in 2017 the latter alone.
        ByEdition = "by-edition",
        /// `/api/query` alone, once the older one is removed as announced.
        QueryOnly = "query-only",
        /// `/api/iqa` alone, as before 20.3.77.
        IqaOnly = "iqa-only",
    }
}

words! {
    /// About whom the profile query is.
    pub enum QuerySubject {
        /// Whom the parameter names, or without one the caller.
        Either = "either",
        /// The caller (a filter on `LoggedInUserKey`), whatever the parameter says.
        LoggedInUser = "logged-in-user",
        /// Whom the parameter names; without one, nobody.
        Parameter = "parameter",
    }
}

words! {
    /// How a query tells that a column is empty.
    pub enum QueryEmpty {
        /// `""`.
        Empty = "empty",
        /// `null`.
        Null = "null",
        /// The column is left out.
        Omitted = "omitted",
    }
}

words! {
    /// What the single sign-on page does with a visitor who is not signed in.
    pub enum AnonymousSso {
        /// It sends a refresh token of the Guest, who has no record.
        Guest = "guest",
        /// It sends the browser to the sign-in page, with itself as `ReturnUrl`.
        SignIn = "sign-in",
    }
}

words! {
    /// How the single sign-on page sends the refresh token.
    pub enum Delivery {
        /// In a form that submits itself.
        Post = "post",
        /// In the query of a redirect.
        Get = "get",
    }
}

words! {
    /// How the site sends people on who have signed out.
    pub enum SignedOutBy {
        /// The browser goes there.
        Redirect = "redirect",
        /// A page of the site stays, and loads the address in an iframe.
        Iframe = "iframe",
    }
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
