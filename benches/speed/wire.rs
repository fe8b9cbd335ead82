//! A client of HTTP/1.1 over one kept connection, which costs next to nothing beside the server that it asks.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection to the server, with the cookies of one browser.
pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
    cookies: Vec<(String, String)>,
    /// How many requests were answered.
    pub(crate) requests: u64,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().filter_map(move |line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        ensure!(self.status == 200, "{} {}", self.status, self.body);
        Ok(serde_json::from_str(&self.body)?)
    }

    /// A member of a JSON answer, a text.
    pub(crate) fn text(&self, name: &str) -> anyhow::Result<String> {
        let json = self.json()?;
        let text = json.get(name).and_then(serde_json::Value::as_str);
        Ok(text.with_context(|| format!("no {name}"))?.to_owned())
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            address,
            buffer: Vec::with_capacity(16 * 1024),
            cookies: Vec::new(),
            requests: 0,
        })
    }

    /// From now on another browser's.
    pub(crate) fn forget(&mut self) {
        self.cookies.clear();
    }

    /// What stands before the first byte of a request's body.
    fn head(&self, method: &str, path: &str, more: &str) -> String {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{more}",
            self.address
        );
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            head = [&head, "cookie: ", &pairs.join("; "), "\r\n"].concat();
        }
        head
    }

    pub(crate) async fn get(&mut self, path: &str, more: &str) -> anyhow::Result<Answer> {
        let request = self.head("GET", path, more) + "\r\n";
        self.send(request.as_bytes()).await
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        more: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let more = format!("{more}content-type: application/x-www-form-urlencoded\r\n");
        self.post_body(path, &more, &body).await
    }

    pub(crate) async fn post_json(
        &mut self,
        path: &str,
        json: &serde_json::Value,
    ) -> anyhow::Result<Answer> {
        let more = "content-type: application/json\r\n";
        self.post_body(path, more, &json.to_string()).await
    }

    async fn post_body(&mut self, path: &str, more: &str, body: &str) -> anyhow::Result<Answer> {
        let head = self.head("POST", path, more);
        let length = body.len();
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        self.send(request.as_bytes()).await
    }

    async fn send(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(end) = end_of_head(&self.buffer) {
                break end;
            }
            self.read().await?;
        };
        let head = String::from_utf8(self.buffer.get(..head_end).unwrap_or_default().to_vec())?;
        let status = head.get(9..12).context("no status line")?.parse()?;
        let mut answer = Answer {
            status,
            head,
            body: String::new(),
        };
        let length: usize = match answer.header("content-length") {
            Some(length) => length.parse()?,
            None if matches!(status, 204 | 303 | 304) => 0,
            None => bail!("an answer of unknown length: {}", answer.head),
        };
        let body = head_end + 4;
        while self.buffer.len() < body + length {
            self.read().await?;
        }
        let bytes = self.buffer.get(body..body + length).unwrap_or_default();
        answer.body = String::from_utf8_lossy(bytes).into_owned();
        self.requests += 1;
        self.keep_cookies(&answer);
        Ok(answer)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.headers("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(own, _)| own != name);
                if !value.is_empty() {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n")
}
