//! A browser without scripts: keeps cookies as browsers do, fills the forms that it is given, follows redirects only as
//! far as it is told. Fields and tokens of our pages are thereby tested as they are.

use std::collections::BTreeMap;

use portico::simulator::people::ImisPerson;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, REFERRER_POLICY, SET_COOKIE};
use reqwest::{Method, StatusCode};
use scraper::{Html, Selector};
use url::Url;

use super::server::TestServer;

/// A browser, with its cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    http: reqwest::Client,
    /// By host and name: ports share cookies (RFC 6265 section 8.5).
    cookies: BTreeMap<(String, String), Cookie>,
    /// `Accept-Language`.
    pub(crate) language: Option<String>,
    /// More headers of every request.
    pub(crate) headers: Vec<(String, String)>,
    /// Every answer that it got, on the way to somewhere else too.
    pub(crate) trail: Vec<Seen>,
    /// The origin of the page that is shown, unless that page keeps it to itself.
    at: Option<String>,
}

/// What a browser saw of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) body: String,
}

/// A cookie with the attributes that were set.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub(crate) value: String,
    pub(crate) attributes: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test browser is no client of the server's"
)]
pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // It trusts nobody: to read the system's certificates takes longer than most of what is asked by it.
        .tls_certs_only([])
        .build()
        .unwrap()
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self::with_client(http_client())
    }

    /// One that trusts other certificates, say.
    pub(crate) fn with_client(http: reqwest::Client) -> Self {
        Self {
            http,
            cookies: BTreeMap::new(),
            language: None,
            headers: Vec::new(),
            trail: Vec::new(),
            at: None,
        }
    }

    /// Opens an address as if it were typed, without following a redirect.
    pub(crate) async fn get(&mut self, url: impl AsRef<str>) -> Page {
        self.at = None;
        self.send(Method::GET, url.as_ref(), None, true).await
    }

    /// Follows a link, or a script of the page that is shown, without following a redirect.
    pub(crate) async fn click(&mut self, url: impl AsRef<str>) -> Page {
        self.send(Method::GET, url.as_ref(), None, true).await
    }

    /// Another site has taken the browser over, and goes on from there.
    pub(crate) fn is_lured_to(&mut self, origin: &str) {
        self.at = Some(origin.to_owned());
    }

    /// Posts a form from our own site.
    pub(crate) async fn post(&mut self, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Page {
        self.send(Method::POST, url.as_ref(), Some(fields), true)
            .await
    }

    /// Posts a form from another site: `SameSite=Lax` cookies stay at home.
    pub(crate) async fn post_cross_site(
        &mut self,
        url: impl AsRef<str>,
        fields: &[(&str, &str)],
    ) -> Page {
        self.send(Method::POST, url.as_ref(), Some(fields), false)
            .await
    }

    async fn send(
        &mut self,
        method: Method,
        url: &str,
        fields: Option<&[(&str, &str)]>,
        with_cookies: bool,
    ) -> Page {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let host = url.host_str().unwrap().to_owned();
        let mut request = self.http.request(method.clone(), url.clone());
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| *of == host)
            .map(|((_, name), cookie)| format!("{name}={}", cookie.value))
            .collect();
        if with_cookies && !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some(language) = &self.language {
            request = request.header("accept-language", language);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        // What pages may not be told of goes with a POST all the same, as "null" (Fetch, "append a request Origin header").
        let sender = self.at.clone();
        if let Some(sender) = &sender {
            request = request.header("referer", format!("{sender}/"));
        }
        if method == Method::POST {
            request = request.header("origin", sender.as_deref().unwrap_or("null"));
        }
        if let Some(fields) = fields {
            request = request.form(fields);
        }
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        for header in response.headers().get_all(SET_COOKIE) {
            self.keep(&host, header.to_str().unwrap());
        }
        let secretive = response.headers().get(REFERRER_POLICY);
        let secretive = secretive.is_some_and(|policy| policy == "no-referrer");
        // A redirect is sent on in the name of the page that it began at, unless it says that it must not be told (Fetch,
        // "set request's referrer policy on redirect").
        if secretive {
            self.at = None;
        } else if response.headers().get(LOCATION).is_none() {
            self.at = Some(url.origin().ascii_serialization());
        }
        let page = Page {
            url,
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        };
        self.trail.push(Seen {
            url: page.url.to_string(),
            status: page.status.as_u16(),
            location: page.header("location").to_owned(),
            body: page.body.clone(),
        });
        page
    }

    fn keep(&mut self, host: &str, header: &str) {
        let (pair, attributes) = header.split_once(';').unwrap_or((header, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let key = (host.to_owned(), name.to_owned());
        let lower = attributes.to_ascii_lowercase();
        let mut lasts = lower
            .split(';')
            .filter_map(|attribute| attribute.trim().strip_prefix("max-age="));
        if lasts.any(|seconds| seconds == "0" || seconds.starts_with('-')) {
            self.cookies.remove(&key);
        } else {
            let cookie = Cookie {
                value: value.to_owned(),
                attributes: attributes.to_owned(),
            };
            self.cookies.insert(key, cookie);
        }
    }

    /// Follows redirects while they lead to `server` or to its upstreams; the answer that leads elsewhere, or is no
    /// redirect, is the last.
    pub(crate) async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..10 {
            let Some(next) = page.location() else {
                return page;
            };
            if next.host_str() != Some("127.0.0.1") || next.path() == "/callback" {
                return page;
            }
            page = self.click(next.as_str()).await;
        }
        panic!("more than ten redirects, at {}", page.url);
    }

    /// Opens an address and follows.
    pub(crate) async fn open(&mut self, url: impl AsRef<str>) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    /// Submits the form of `page` that `css` names, with what it holds and `fields` over it; follows.
    pub(crate) async fn submit(&mut self, page: &Page, css: &str, fields: &[(&str, &str)]) -> Page {
        let answer = self.submit_only(page, css, fields).await;
        self.follow(answer).await
    }

    /// The same, without following.
    pub(crate) async fn submit_only(
        &mut self,
        page: &Page,
        css: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let (action, mut values) = page.form(css);
        for (name, value) in fields {
            values.insert((*name).to_owned(), (*value).to_owned());
        }
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.post(action.as_str(), &values).await
    }

    /// Does what the script of our page for answers in the fragment does; follows.
    pub(crate) async fn read_fragment(&mut self, page: &Page) -> Page {
        let (action, names) = page.form("form[hidden]");
        let told = page.url.fragment().unwrap_or_default();
        let told = url::form_urlencoded::parse(told.as_bytes()).into_owned();
        let fields: Vec<(String, String)> =
            told.filter(|(name, _)| names.contains_key(name)).collect();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let sent_on = self.post(action.as_str(), &fields).await;
        self.follow(sent_on).await
    }

    /// From the page that offers several ways to the one with this text, by link or by button.
    pub(crate) async fn choose(&mut self, page: &Page, upstream: &str) -> Page {
        let link = format!("a[href*='upstream={upstream}']");
        if let Some(href) = page.attribute(&link, "href") {
            return self.open(page.url.join(&href).unwrap()).await;
        }
        let form = format!("form[action='/upstream/{upstream}/start']");
        self.submit(page, &form, &[]).await
    }

    /// Logs in as an iMIS member, from an authorization URL to the redirect to the client.
    pub(crate) async fn log_in_as(&mut self, url: impl AsRef<str>, person: ImisPerson) -> Page {
        let page = self.open(url).await;
        let page = self.choose(&page, "members").await;
        let fields = [("username", person.username), ("password", person.password)];
        self.submit(&page, PASSWORD_FORM, &fields).await
    }

    /// The cookie of this name that `server` set.
    pub(crate) fn cookie(&self, server: &TestServer, name: &str) -> Option<&Cookie> {
        let host = Url::parse(&server.issuer)
            .unwrap()
            .host_str()
            .unwrap()
            .to_owned();
        self.cookies.get(&(host, name.to_owned()))
    }

    /// The cookie of this name that `host` set.
    pub(crate) fn cookie_at(&self, host: &str, name: &str) -> Option<&Cookie> {
        self.cookies.get(&(host.to_owned(), name.to_owned()))
    }

    /// The names of all cookies.
    pub(crate) fn cookie_names(&self) -> Vec<&str> {
        self.cookies.keys().map(|(_, name)| name.as_str()).collect()
    }

    /// Puts a cookie in, as an attacker or an earlier life of this browser would.
    pub(crate) fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        let cookie = Cookie {
            value: value.to_owned(),
            attributes: String::new(),
        };
        self.cookies
            .insert((host.to_owned(), name.to_owned()), cookie);
    }

    /// Forgets the cookies whose name begins so.
    pub(crate) fn forget(&mut self, prefix: &str) {
        self.cookies
            .retain(|(_, name), _| !name.starts_with(prefix));
    }
}

/// The password form of the login page.
pub(crate) const PASSWORD_FORM: &str = "form:has(input[name=password])";

impl Page {
    /// Where it redirects to.
    pub(crate) fn location(&self) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().unwrap();
        Some(self.url.join(location).unwrap())
    }

    /// The parameters of the redirect to a client: from the query, or from the fragment.
    pub(crate) fn answer(&self) -> BTreeMap<String, String> {
        let location = self.location().unwrap_or_else(|| {
            panic!("{} {} is no redirect: {}", self.status, self.url, self.body)
        });
        let text = location.fragment().or(location.query()).unwrap_or_default();
        url::form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect()
    }

    /// A header, as text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The text of the first element that `css` names.
    pub(crate) fn text(&self, css: &str) -> Option<String> {
        let document = Html::parse_document(&self.body);
        let element = document.select(&Selector::parse(css).unwrap()).next()?;
        Some(
            element
                .text()
                .collect::<String>()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    /// An attribute of the first element that `css` names.
    pub(crate) fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let document = Html::parse_document(&self.body);
        let element = document.select(&Selector::parse(css).unwrap()).next()?;
        element.attr(name).map(ToOwned::to_owned)
    }

    /// The values of all inputs that `css` names, as they stand in the page.
    pub(crate) fn values(&self, css: &str) -> Vec<String> {
        self.attributes(css, "value")
    }

    /// An attribute of all elements that `css` names, as they stand in the page.
    pub(crate) fn attributes(&self, css: &str, name: &str) -> Vec<String> {
        let document = Html::parse_document(&self.body);
        let selector = Selector::parse(css).unwrap();
        let found = document.select(&selector);
        found
            .filter_map(|element| element.attr(name).map(ToOwned::to_owned))
            .collect()
    }

    /// Where a form leads, and what it holds.
    pub(crate) fn form(&self, css: &str) -> (Url, BTreeMap<String, String>) {
        let document = Html::parse_document(&self.body);
        let form = document
            .select(&Selector::parse(css).unwrap())
            .next()
            .unwrap_or_else(|| {
                panic!(
                    "no form {css} at {} {}: {}",
                    self.status, self.url, self.body
                )
            });
        let action = self
            .url
            .join(form.attr("action").unwrap_or_default())
            .unwrap();
        // A box that is not ticked is not sent.
        let inputs = "input[name]:not([type=checkbox]), input[name][checked]";
        let inputs = Selector::parse(inputs).unwrap();
        let values = form.select(&inputs).map(|input| {
            let value = input.attr("value").unwrap_or_default();
            (input.attr("name").unwrap().to_owned(), value.to_owned())
        });
        (action, values.collect())
    }
}
