//! The HTTP under both simulators: what was received, what is answered, and the server between them.
//! A simulator is a function from [`Recorded`] to [`Reply`]; faults are applied here, outside it.

mod connection;
mod log;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::connection::{Connections, Peer};
pub(super) use self::log::Log;
use super::control::Controlled;
use super::fault::{Broken, Fault};
use super::{Running, control};

/// The longest request body that is read; longer ones are answered 413.
const BODY_LIMIT: usize = 1024 * 1024;

/// One request as it arrived. Kept in full, so that a test can tell what was sent and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, as sent (letter case and percent-encoding kept).
    pub path: String,
    /// The query without its question mark, as sent.
    pub query: String,
    /// All headers, names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Recorded {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, from the query or else from a form body; names in any letter case.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query_parameter(name)
            .or_else(|| find(self.form(), name))
    }

    /// The value of a parameter of the query; names in any letter case.
    pub fn query_parameter(&self, name: &str) -> Option<String> {
        find(self.query_pairs(), name)
    }

    /// Every name and value of the query, decoded.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        pairs(&self.query)
    }

    /// Every name and value of the form body, decoded; nothing when the body is no form.
    pub fn form(&self) -> Vec<(String, String)> {
        let content_type = self.header("content-type").unwrap_or_default();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            pairs(&self.body)
        } else {
            Vec::new()
        }
    }

    /// The path in decoded segments, empty ones left out: `/api//User/` is `["api", "User"]`.
    pub fn segments(&self) -> Vec<String> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                percent_encoding::percent_decode_str(segment)
                    .decode_utf8_lossy()
                    .into_owned()
            })
            .collect()
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key == "cookie")
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn find(pairs: Vec<(String, String)>, name: &str) -> Option<String> {
    pairs
        .into_iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// What a simulator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers; values are bytes, because real servers put there what they like.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A body of a given content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.into())],
            body: body.into(),
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json;charset=UTF-8", body.to_string())
    }

    /// A page.
    pub fn html(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// A status and nothing else.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A redirect.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::empty(status).with("location", location.into())
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            // A value that no header can carry (line breaks) is left out, as servers do.
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                response
                    .headers_mut()
                    .append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// What a simulator is to the server.
pub(super) trait Site: Controlled + Clone + Send + Sync + 'static {
    /// Writes the request down; its number, and which fault, if any, is planned for it.
    fn receive(&self, request: &Recorded) -> (usize, Option<Fault>);

    /// Writes down with what status a request was answered.
    fn answered(&self, number: usize, status: u16);

    /// Answers as if nothing were broken.
    fn answer(&self, request: &Recorded) -> Reply;
}

/// Serves `site` until the returned [`Running`] is stopped or dropped.
pub(super) fn serve<S: Site>(
    site: S,
    listener: TcpListener,
    base_path: &str,
) -> io::Result<Running> {
    let url = format!("http://{}{}", listener.local_addr()?, tidy(base_path));
    let (stop, stopped) = watch::channel(false);
    let app = Router::new()
        .fallback(respond::<S>)
        .with_state((site, stopped.clone()))
        .into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(Connections(listener), app)
        .with_graceful_shutdown(until_stopped(stopped))
        .into_future();
    let server = tokio::spawn(async move {
        // The future of `axum::serve` ends only by the signal, and never with an error.
        let _ = server.await;
    });
    Ok(Running {
        url,
        stop,
        server: Some(server),
    })
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that `Running` is gone without a word, which stops the server just as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn respond<S: Site>(
    State((site, stopped)): State<(S, watch::Receiver<bool>)>,
    ConnectInfo(Peer { address, cut }): ConnectInfo<Peer>,
    request: Request,
) -> Response<Body> {
    let Some(request) = record(request).await else {
        return Reply::text(413, "Request entity too large").into_response();
    };
    if control::is_control(&request) {
        return control::answer(&site, &request, address).into_response();
    }
    let (number, fault) = site.receive(&request);
    let broken = fault.map_or(Broken::Nothing, |fault| fault.into_broken(&request));
    let reply = match broken {
        Broken::Nothing => site.answer(&request),
        Broken::Instead(reply) => reply,
        Broken::Padded(bytes) => {
            let mut reply = site.answer(&request);
            reply.body.insert_str(0, &" ".repeat(bytes));
            reply
        }
        Broken::Late(delay) => {
            wait(delay, stopped).await;
            site.answer(&request)
        }
        Broken::Never => {
            until_stopped(stopped).await;
            cut.after(0);
            return Reply::empty(503).into_response();
        }
        Broken::CutAfter(bytes) => {
            cut.after(bytes);
            site.answer(&request)
        }
    };
    site.answered(number, reply.status);
    reply.into_response()
}

/// A base path without a slash at its end, and with one at its start; empty when there is none.
pub(super) fn tidy(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// Where it is allowed, lets pages of other origins call, as a proxy in front may do: the answer to a preflight, or a header more.
pub(super) fn with_cors(
    allowed: bool,
    request: &Recorded,
    answer: impl FnOnce() -> Reply,
) -> Reply {
    if !allowed {
        return answer();
    }
    let origin = request.header("origin").unwrap_or("*").to_owned();
    let reply = if request.method == "OPTIONS" {
        let wanted = request.header("access-control-request-headers");
        Reply::empty(204)
            .with("access-control-allow-methods", "GET, POST, PUT, DELETE")
            .with("access-control-allow-headers", wanted.unwrap_or("*"))
    } else {
        answer()
    };
    reply.with("access-control-allow-origin", origin)
}

async fn wait(delay: Duration, stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = until_stopped(stopped) => {}
    }
}

async fn record(request: Request) -> Option<Recorded> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.ok()?;
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    Some(Recorded {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
