//! What can be set differently on the simulated aiM18. The documentation tells request parameters and
//! little else; each switch is a question that it leaves open.

use crate::simulator::Planned;
use crate::simulator::switch::{Accepts, Setting, no_such_word, switches, words};

/// Client id of the demo's application, in the form that aiM18 makes: base64 of a UUID's text.
pub const CLIENT_ID: &str = "MTExMTExMTEtMjIyMi00MzMzLTg0NDQtNTU1NTU1NTU1NTU1";

/// Client secret of the demo's application (of the same form, of a UUID that nobody has).
pub const CLIENT_SECRET: &str = "NjY2NjY2NjYtNzc3Ny00ODg4LTg5OTktMDAwMDAwMDAwMDAw";

switches! {
    /// The switches, with the documented or most likely behavior as defaults.
    pub struct Switches {
        /// A path before `/jsf`, as behind a proxy; mostly empty.
        pub base_path: String = String::new(),
        /// Whether a browser that has logged in skips the login page the next time.
        pub remembers_login: bool = true,
        /// Whether the user is asked to let the application in, after the login.
        pub consent_page: bool = false,
        /// What happens to the undocumented parameter `state`.
        pub state: StateParameter = StateParameter::Dropped,
        /// How the browser is sent back.
        pub return_by: ReturnBy = ReturnBy::Redirect(302),
        /// Where the code stands in the address that the browser is sent back to.
        pub code_in: AnswerIn = AnswerIn::Query,
        /// The parameter that holds the code; only the token endpoint's name for it is documented.
        pub code_name: String = "code".to_owned(),
        /// Where the access token of the implicit grant stands.
        pub token_in: AnswerIn = AnswerIn::Fragment,
        /// Whether a question mark joins the answer to a callback URL that has a query already, where an ampersand belongs.
        pub joins_by_question_mark: bool = false,
        /// Whether a callback URL is taken when it only begins with the registered one.
        pub callback_by_prefix: bool = false,
        /// What the cancel button does.
        pub cancel: Cancel = Cancel::AccessDenied,
        /// How a wrong `client_id`, `redirect_uri` or `response_type` is refused.
        pub entry_errors: EntryErrors = EntryErrors::Page,
        /// Whether codes and tokens hold the characters that clients forget to encode: `+`, `/`, `=`.
        pub awkward_tokens: bool = false,
        /// Life of a code.
        pub code_seconds: i64 = 60,
        /// Life of an access token.
        pub access_token_seconds: i64 = 3600,
        /// Life of a refresh token.
        pub refresh_token_seconds: i64 = 30 * 86_400,
        /// Whether a code can be redeemed more than once.
        pub codes_work_twice: bool = false,
        /// Whether a code is bound to the application and callback URL that it was made for.
        pub codes_are_bound: bool = true,
        /// Where the token endpoint is, below `/jsf/rfws/`: `oauth/token`, and by hearsay `oauth2/token`.
        pub token_path: String = "oauth/token".to_owned(),
        /// The content type of the token endpoint's answers.
        pub token_content_type: String = "application/json;charset=UTF-8".to_owned(),
        /// The methods of the token endpoint.
        pub token_methods: TokenMethods = TokenMethods::Both,
        /// How it answers the other one.
        pub other_method: OtherMethod = OtherMethod::NotAllowed,
        /// How `uid` is told.
        pub uid: UidShape = UidShape::Number,
        /// Whether `uid` is told by the code and refresh grants too, or by the password grant alone.
        pub uid_for_every_grant: bool = true,
        /// How the code grant tells `uid`, if differently.
        pub uid_by_code: Option<UidShape> = None,
        /// How the refresh grant tells `uid`, if differently.
        pub uid_by_refresh: Option<UidShape> = None,
        /// Whether `expires_in` is told.
        pub tells_expires_in: bool = false,
        /// Whether it is told as text: `"3600"`.
        pub expires_in_as_text: bool = false,
        /// The value of `token_type`.
        pub token_type: String = "Bearer".to_owned(),
        /// Whether a refresh kills the refresh token and gives another; if not, none is told.
        pub rotates_refresh_tokens: bool = true,
        /// Whether the refresh grant needs `redirect_uri`, as documented.
        pub refresh_needs_redirect_uri: bool = true,
        /// Whether a refresh ends the access tokens that the application had for the user.
        pub refresh_ends_access: bool = false,
        /// Whether a new login ends them.
        pub login_ends_access: bool = false,
        /// Whether the refresh grant of a user who was switched off is refused.
        pub refresh_checks_user: bool = true,
        /// Whether access tokens of a user who was switched off die at once.
        pub disable_ends_access: bool = false,
        /// Whether all tokens of a user die when the password changes.
        pub password_change_ends_tokens: bool = false,
        /// Whether login names are matched in any letter case.
        pub any_letter_case: bool = false,
        /// Whether the password's hash may be in upper-case hex.
        pub accepts_upper_hash: bool = false,
        /// After how many wrong passwords a user is locked; none: never.
        pub lock_after: Option<u32> = None,
        /// How refusals of the token endpoint look.
        pub token_errors: TokenErrors = TokenErrors::Json,
        /// The module (and menu code) that holds the users; its real name is not public.
        pub user_module: String = "user".to_owned(),
        /// Whose user record a token may read.
        pub user_rights: UserRights = UserRights::Everybody,
        /// Whether the API takes a token without the word `Bearer`.
        pub accepts_bare_token: bool = false,
        /// Whether calls need the header `client_id`, and the one that the token was issued to.
        pub needs_client_id: bool = true,
        /// When the user's rights on a module are looked at; the documentation says two things.
        pub checks_right: ChecksRight = ChecksRight::ByParameter,
        /// What is switched off in the API settings of all applications: a family (`entity`, `root`, `search`, `bpm`, `erp`), a module
        /// (`cus`), or one operation of it (`cus.save`).
        pub apis_off: Vec<String> = Vec::new(),
        /// Whether a search must name its business entity (`beId`).
        pub search_needs_be_id: bool = false,
        /// The most rows that a search gives at once, whatever is asked for; none: all.
        pub search_page: Option<u32> = None,
        /// Whether pages of other origins may call the token endpoint and the API.
        pub allows_cors: bool = false,
        /// The status of a call without a live token, or with the wrong `client_id` header: 401, 403 or 400.
        pub denied_status: u16 = 401,
        /// How the API refuses what a live token asks for.
        pub api_errors: ApiErrors = ApiErrors::Body,
        /// How the header `error_info` writes what is not ASCII.
        pub error_info_in: ErrorInfo = ErrorInfo::Utf8,
        and
        /// The registered applications.
        pub applications: Vec<Application> = vec![Application::demo()],
        /// Faults, the first that fits is met.
        pub faults: Vec<Planned> = Vec::new(),
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

words! {
    /// What happens to `state` at the login page.
    pub enum StateParameter {
        /// It does not come back.
        Dropped = "dropped",
        /// It comes back.
        Echoed = "echoed",
        /// The request is refused.
        Rejected = "rejected",
    }
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

words! {
    /// In which part of an address an answer stands.
    pub enum AnswerIn {
        /// After a question mark.
        Query = "query",
        /// After a number sign, where servers do not see it.
        Fragment = "fragment",
    }
}

words! {
    /// What the cancel button does.
    pub enum Cancel {
        /// Returns with `error=access_denied`.
        AccessDenied = "access-denied",
        /// Nothing: the login page is shown again, and the application never hears of it.
        Nothing = "nothing",
    }
}

words! {
    /// How a bad request to the login page is refused.
    pub enum EntryErrors {
        /// 400 with a page.
        Page = "page",
        /// 400 with JSON.
        Json = "json",
        /// 500 with an error page.
        ErrorPage = "error-page",
        /// 401 with a page.
        Unauthorized = "unauthorized",
        /// A redirect with `error`, if a known application has that callback URL; or else 400 with a page.
        Redirect = "redirect",
    }
}

words! {
    /// The methods of the token endpoint.
    pub enum TokenMethods {
        /// Both.
        Both = "both",
        /// GET with a query, as documented.
        GetOnly = "get-only",
        /// POST with a form, as seen on a recent server.
        PostOnly = "post-only",
    }
}

words! {
    /// How the token endpoint answers a method that it does not take.
    pub enum OtherMethod {
        /// 405.
        NotAllowed = "status-405",
        /// 400, as if there were no parameters.
        BadRequest = "status-400",
        /// 401 likewise.
        Unauthorized = "status-401",
        /// 200 and no body.
        OkEmpty = "ok-empty",
    }
}

words! {
    /// How `uid` is told.
    pub enum UidShape {
        /// `1042`.
        Number = "number",
        /// `"1042"`.
        Text = "text",
        /// Not at all.
        Absent = "absent",
    }
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

words! {
    /// Whose user record a token may read.
    pub enum UserRights {
        /// Everybody's.
        Everybody = "everybody",
        /// The own one; the service account reads all.
        Own = "own",
        /// None; the service account reads all.
        ServiceAccount = "service-account",
        /// None for anybody.
        Nobody = "nobody",
    }
}

words! {
    /// How the API refuses what a live token asks for.
    pub enum ApiErrors {
        /// 400 with a `CheckMsg`; a missing record at the newer read is 200 with `status: false`, as always.
        Body = "body",
        /// 400 with the header `error_info`.
        Header = "header",
        /// 200 with `status: false`, the reason in `messages`.
        OkFalse = "ok-false",
        /// 200 with `status: false`, the reason as JSON in a string in `message`.
        OkFalseText = "ok-false-text",
    }
}

words! {
    /// How the header `error_info` writes what is not ASCII.
    pub enum ErrorInfo {
        /// As it is.
        Utf8 = "utf-8",
        /// As JSON escapes.
        Escapes = "json-escapes",
        /// In bytes that are no UTF-8; what Latin-1 does not have is an inverted question mark.
        Latin1 = "latin-1",
        /// In Big5, where the second byte of a character may be that of a backslash; what it does not have is a question mark.
        Big5 = "big5",
    }
}

words! {
    /// When the user's rights on a module are looked at.
    pub enum ChecksRight {
        /// When the call's parameter `check_right` is not empty.
        ByParameter = "by-parameter",
        /// At every call.
        Always = "always",
        /// Never: an application sees what its own settings allow.
        Never = "never",
    }
}

/// The ways back, as words. Another status is written the same way.
const WAYS_BACK: [(&str, ReturnBy, &str); 6] = [
    ("redirect-302", ReturnBy::Redirect(302), ""),
    ("redirect-303", ReturnBy::Redirect(303), ""),
    (
        "redirect-307",
        ReturnBy::Redirect(307),
        "Repeats the POST of the login form at the callback.",
    ),
    ("script", ReturnBy::Script, "By a page with a script."),
    (
        "form",
        ReturnBy::Form,
        "By a page with a form that submits itself (GET).",
    ),
    (
        "post-form",
        ReturnBy::PostForm,
        "By a page with a form that submits itself (POST).",
    ),
];

impl Setting for ReturnBy {
    fn accepts() -> Accepts {
        Accepts {
            words: WAYS_BACK
                .iter()
                .map(|(word, _, meaning)| (*word, *meaning))
                .collect(),
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Redirect(status) => format!("redirect-{status}"),
            other => {
                let way = WAYS_BACK.iter().find(|(_, way, _)| way == other);
                way.map_or("", |(word, ..)| word).to_owned()
            }
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let way = WAYS_BACK.iter().find(|(word, ..)| *word == text);
        way.map(|(_, way, _)| *way)
            .ok_or_else(|| no_such_word(&Self::accepts().words))
    }
}

/// The looks of a refusal, as words.
const TOKEN_ERRORS: [(&str, TokenErrors, &str); 9] = [
    (
        "json",
        TokenErrors::Json,
        "400, `error` and `error_description`.",
    ),
    (
        "status-401",
        TokenErrors::Status(401),
        "401 with the same JSON.",
    ),
    (
        "status-403",
        TokenErrors::Status(403),
        "403 with the same JSON.",
    ),
    (
        "status-500",
        TokenErrors::Status(500),
        "500 with the same JSON.",
    ),
    (
        "error-page",
        TokenErrors::ErrorPage,
        "500 with an error page.",
    ),
    (
        "ok-without-token",
        TokenErrors::OkWithoutToken,
        "200 with JSON that holds no token.",
    ),
    ("ok-empty", TokenErrors::OkEmpty, "200 and no body."),
    (
        "check-message",
        TokenErrors::CheckMessage,
        "400 with a `CheckMsg`.",
    ),
    (
        "header",
        TokenErrors::Header,
        "400, no body, and a list of `CheckMsg` in the header `error_info`.",
    ),
];

impl Setting for TokenErrors {
    fn accepts() -> Accepts {
        Accepts {
            words: TOKEN_ERRORS
                .iter()
                .map(|(word, _, meaning)| (*word, *meaning))
                .collect(),
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Status(status) => format!("status-{status}"),
            other => {
                let style = TOKEN_ERRORS.iter().find(|(_, style, _)| style == other);
                style.map_or("", |(word, ..)| word).to_owned()
            }
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let style = TOKEN_ERRORS.iter().find(|(word, ..)| *word == text);
        style
            .map(|(_, style, _)| *style)
            .ok_or_else(|| no_such_word(&Self::accepts().words))
    }
}

/// As the password grant does, or in a shape of its own.
impl Setting for Option<UidShape> {
    fn accepts() -> Accepts {
        let mut accepts = UidShape::accepts();
        accepts.words.insert(0, ("same", "As `uid` says."));
        accepts
    }

    fn write(&self) -> String {
        self.as_ref()
            .map_or_else(|| "same".to_owned(), Setting::write)
    }

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "same" => Ok(None),
            text => UidShape::read(text)
                .map(Some)
                .map_err(|_| no_such_word(&Self::accepts().words)),
        }
    }
}
