//! What can be set differently on the simulated aiM18. The documentation tells request parameters and
//! little else; each switch is a question that it leaves open.

use crate::simulator::Planned;

/// Client id of the demo's application, in the form that aiM18 makes: base64 of a UUID's text.
pub const CLIENT_ID: &str = "MTExMTExMTEtMjIyMi00MzMzLTg0NDQtNTU1NTU1NTU1NTU1";

/// Client secret of the demo's application (of the same form, of a UUID that nobody has).
pub const CLIENT_SECRET: &str = "NjY2NjY2NjYtNzc3Ny00ODg4LTg5OTktMDAwMDAwMDAwMDAw";

/// The switches, with the documented or most likely behavior as defaults.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches are independent of one another; they make no state machine"
)]
pub struct Switches {
    /// A path before `/jsf`, as behind a proxy; mostly empty. Set it before serving.
    pub base_path: String,
    /// The registered applications.
    pub applications: Vec<Application>,

    /// Whether a browser that has logged in skips the login page the next time.
    pub remembers_login: bool,
    /// Whether the user is asked to let the application in, after the login.
    pub consent_page: bool,
    /// What happens to the undocumented parameter `state`.
    pub state: StateParameter,
    /// How the browser is sent back.
    pub return_by: ReturnBy,
    /// Where the code stands in the address that the browser is sent back to.
    pub code_in: AnswerIn,
    /// The parameter that holds the code; only the token endpoint's name for it is documented.
    pub code_name: String,
    /// Where the access token of the implicit grant stands.
    pub token_in: AnswerIn,
    /// Whether a question mark joins the answer to a callback URL that has a query already, where an ampersand belongs.
    pub joins_by_question_mark: bool,
    /// Whether a callback URL is taken when it only begins with the registered one.
    pub callback_by_prefix: bool,
    /// What the cancel button does.
    pub cancel: Cancel,
    /// How a wrong `client_id`, `redirect_uri` or `response_type` is refused.
    pub entry_errors: EntryErrors,
    /// Whether codes and tokens hold the characters that clients forget to encode: `+`, `/`, `=`.
    pub awkward_tokens: bool,

    /// Life of a code.
    pub code_seconds: i64,
    /// Life of an access token.
    pub access_token_seconds: i64,
    /// Life of a refresh token.
    pub refresh_token_seconds: i64,
    /// Whether a code can be redeemed more than once.
    pub codes_work_twice: bool,
    /// Whether a code is bound to the application and callback URL that it was made for.
    pub codes_are_bound: bool,
    /// Where the token endpoint is, below `/jsf/rfws/`: `oauth/token`, and by hearsay `oauth2/token`.
    pub token_path: String,
    /// The content type of the token endpoint's answers.
    pub token_content_type: String,
    /// The methods of the token endpoint.
    pub token_methods: TokenMethods,
    /// How `uid` is told.
    pub uid: UidShape,
    /// Whether `uid` is told by the code and refresh grants too, or by the password grant alone.
    pub uid_for_every_grant: bool,
    /// How the code grant tells `uid`, if differently.
    pub uid_by_code: Option<UidShape>,
    /// How the refresh grant tells `uid`, if differently.
    pub uid_by_refresh: Option<UidShape>,
    /// Whether `expires_in` is told.
    pub tells_expires_in: bool,
    /// Whether it is told as text: `"3600"`.
    pub expires_in_as_text: bool,
    /// The value of `token_type`.
    pub token_type: String,
    /// Whether a refresh kills the refresh token and gives another; if not, none is told.
    pub rotates_refresh_tokens: bool,
    /// Whether the refresh grant needs `redirect_uri`, as documented.
    pub refresh_needs_redirect_uri: bool,
    /// Whether a refresh ends the access tokens that the application had for the user.
    pub refresh_ends_access: bool,
    /// Whether a new login ends them.
    pub login_ends_access: bool,
    /// Whether the refresh grant of a user who was switched off is refused.
    pub refresh_checks_user: bool,
    /// Whether access tokens of a user who was switched off die at once.
    pub disable_ends_access: bool,
    /// Whether all tokens of a user die when the password changes.
    pub password_change_ends_tokens: bool,
    /// Whether login names are matched in any letter case.
    pub any_letter_case: bool,
    /// Whether the password's hash may be in upper-case hex.
    pub accepts_upper_hash: bool,
    /// After how many wrong passwords a user is locked; none: never.
    pub lock_after: Option<u32>,
    /// How refusals of the token endpoint look.
    pub token_errors: TokenErrors,

    /// The module (and menu code) that holds the users; its real name is not public.
    pub user_module: String,
    /// Whose user record a token may read.
    pub user_rights: UserRights,
    /// Whether the API takes a token without the word `Bearer`.
    pub accepts_bare_token: bool,
    /// Whether calls need the header `client_id`, and the one that the token was issued to.
    pub needs_client_id: bool,
    /// When the user's rights on a module are looked at; the documentation says two things.
    pub checks_right: ChecksRight,
    /// What is switched off in the API settings of all applications: a family (`entity`, `root`, `search`, `bpm`, `erp`), a module
    /// (`cus`), or one operation of it (`cus.save`).
    pub apis_off: Vec<String>,
    /// Whether a search must name its business entity (`beId`).
    pub search_needs_be_id: bool,
    /// The status of a call without a live token, or with the wrong `client_id` header: 401, 403 or 400.
    pub denied_status: u16,
    /// How the API refuses what a live token asks for.
    pub api_errors: ApiErrors,

    /// Faults, the first that fits is met.
    pub faults: Vec<Planned>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            applications: vec![Application::demo()],
            remembers_login: true,
            consent_page: false,
            state: StateParameter::Dropped,
            return_by: ReturnBy::Redirect(302),
            code_in: AnswerIn::Query,
            code_name: "code".to_owned(),
            token_in: AnswerIn::Fragment,
            joins_by_question_mark: false,
            callback_by_prefix: false,
            cancel: Cancel::AccessDenied,
            entry_errors: EntryErrors::Page,
            awkward_tokens: false,
            code_seconds: 60,
            access_token_seconds: 3600,
            refresh_token_seconds: 30 * 86_400,
            codes_work_twice: false,
            codes_are_bound: true,
            token_path: "oauth/token".to_owned(),
            token_content_type: "application/json;charset=UTF-8".to_owned(),
            token_methods: TokenMethods::Both,
            uid: UidShape::Number,
            uid_for_every_grant: true,
            uid_by_code: None,
            uid_by_refresh: None,
            tells_expires_in: false,
            expires_in_as_text: false,
            token_type: "Bearer".to_owned(),
            rotates_refresh_tokens: true,
            refresh_needs_redirect_uri: true,
            refresh_ends_access: false,
            login_ends_access: false,
            refresh_checks_user: true,
            disable_ends_access: false,
            password_change_ends_tokens: false,
            any_letter_case: false,
            accepts_upper_hash: false,
            lock_after: None,
            token_errors: TokenErrors::Json,
            user_module: "user".to_owned(),
            user_rights: UserRights::Everybody,
            accepts_bare_token: false,
            needs_client_id: true,
            checks_right: ChecksRight::ByParameter,
            apis_off: Vec::new(),
            search_needs_be_id: false,
            denied_status: 401,
            api_errors: ApiErrors::Body,
            faults: Vec::new(),
        }
    }
}

/// An entry of the module "OAuth Applications".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Made by aiM18; may end in `=`.
    pub client_id: String,
    /// Made by aiM18.
    pub client_secret: String,
    /// The callback URL, compared character by character.
    pub callback: String,
}

impl Application {
    /// The application of the demo.
    pub fn demo() -> Self {
        Self {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            callback: "http://localhost:8080/upstream/staff/callback".to_owned(),
        }
    }
}

/// What happens to `state` at the login page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateParameter {
    /// It does not come back.
    Dropped,
    /// It comes back.
    Echoed,
    /// The request is refused.
    Rejected,
}

/// How the browser is sent back to the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnBy {
    /// By this status: 302, 303, or 307, which repeats the POST of the login form at the callback.
    Redirect(u16),
    /// By a page with a script.
    Script,
    /// By a page with a form that submits itself (GET).
    Form,
    /// By a page with a form that submits itself (POST): the answer is in the body.
    PostForm,
}

/// In which part of an address an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerIn {
    /// After a question mark.
    Query,
    /// After a number sign, where servers do not see it.
    Fragment,
}

/// What the cancel button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Returns with `error=access_denied`.
    AccessDenied,
    /// Nothing: the login page is shown again, and the application never hears of it.
    Nothing,
}

/// How a bad request to the login page is refused; never by a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryErrors {
    /// 400 with a page.
    Page,
    /// 400 with JSON.
    Json,
    /// 500 with an error page.
    ErrorPage,
}

/// The methods of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMethods {
    /// Both.
    Both,
    /// GET with a query, as documented.
    GetOnly,
    /// POST with a form, as seen on a recent server.
    PostOnly,
}

/// How `uid` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UidShape {
    /// `1042`.
    Number,
    /// `"1042"`.
    Text,
    /// Not at all.
    Absent,
}

/// How refusals of the token endpoint look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenErrors {
    /// 400, `error` and `error_description`.
    Json,
    /// This status (401, 403) with the same JSON.
    Status(u16),
    /// 500 with an error page.
    ErrorPage,
    /// 200 with JSON that holds no token.
    OkWithoutToken,
    /// 200 and no body.
    OkEmpty,
    /// 400 with a `CheckMsg`.
    CheckMessage,
    /// 400, no body, and a list of `CheckMsg` in the header `error_info`, in raw UTF-8.
    Header,
}

/// Whose user record a token may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRights {
    /// Everybody's.
    Everybody,
    /// The own one; the service account reads all.
    Own,
    /// None; the service account reads all.
    ServiceAccount,
    /// None for anybody.
    Nobody,
}

/// How the API refuses what a live token asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrors {
    /// 400 with a `CheckMsg`; a missing record at the newer read is 200 with `status: false`, as always.
    Body,
    /// 400 with the header `error_info`.
    Header,
    /// 200 with `status: false`, the reason in `messages`.
    OkFalse,
    /// 200 with `status: false`, the reason as JSON in a string in `message`.
    OkFalseText,
}

/// When the user's rights on a module are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksRight {
    /// When the call's parameter `check_right` is not empty.
    ByParameter,
    /// At every call.
    Always,
    /// Never: an application sees what its own settings allow.
    Never,
}
