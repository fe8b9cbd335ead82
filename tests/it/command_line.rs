//! The real binary, as an administrator and a process supervisor use it: what it answers, with which exit code, what it
//! says to do, and what it leaves behind.

mod account;
pub(crate) mod audit;
mod check;
mod check_tls;
mod client_registration;
mod commands;
mod moving;
mod serve;
pub(crate) mod session;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use portico::clock::Clock;
use portico::simulator::Running;
use portico::simulator::aim18::{self, Aim18};
use portico::simulator::imis::Imis;
use portico::simulator::people;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::database::TestDatabase;
use crate::harness::server::{Setup, TestServer};

/// An address at which nothing listens.
const NOWHERE: &str = "127.0.0.1:1";
/// Secrets that no output may ever hold.
pub(crate) const SECRETS: [(&str, &str); 4] = [
    ("MASTER_KEY", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="),
    ("IMIS_SERVICE_PASSWORD", people::SERVICE.password),
    ("AIM18_CLIENT_SECRET", aim18::CLIENT_SECRET),
    (
        "REPORTS_SECRET",
        "portico_secret_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
    ),
];

/// A configuration in a folder of its own, simulated upstreams, a database.
pub(crate) struct Site {
    imis: Imis,
    aim18: Aim18,
    /// Dropped with everything in it.
    pub(crate) database: TestDatabase,
    folder: TempDir,
    env: Vec<(String, String)>,
    simulators: (Running, Running),
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let imis = Imis::new(Clock::system());
        let aim18 = Aim18::new(Clock::system());
        aim18.set_callback(&format!("http://{NOWHERE}/upstream/staff/callback"));
        let simulators = (
            imis.serve(loopback().await).await.unwrap(),
            aim18.serve(loopback().await).await.unwrap(),
        );
        let database = TestDatabase::fresh().await;
        let mut env: Vec<_> = SECRETS
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        env.push(("DATABASE".to_owned(), database.url().expose().to_owned()));
        let site = Self {
            imis,
            aim18,
            database,
            folder: tempfile::tempdir().unwrap(),
            env,
            simulators,
        };
        let (imis, aim18) = (site.simulators.0.url(), site.simulators.1.url());
        site.write(&config(imis, aim18));
        site
    }

    /// One whose database is ready, as a server leaves it.
    async fn started() -> Self {
        let site = Self::new().await;
        let server = site.serve().await;
        assert_eq!(server.terminate(), Some(0));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, config: &str) {
        std::fs::write(self.path("portico.toml"), config).unwrap();
    }

    /// Replaces part of the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("portico.toml")).unwrap();
        assert!(text.contains(from), "the configuration has no {from}");
        self.write(&text.replace(from, to));
    }

    /// Sets a variable for the commands to come.
    fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = portico(arguments);
        command
            .env("PORTICO_CONFIG", self.path("portico.toml"))
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end, which must not show a secret.
    async fn run(&self, arguments: &[&str]) -> Said {
        let said = run(self.command(arguments), "").await;
        for (name, secret) in SECRETS {
            let shown = said.out.contains(secret) || said.err.contains(secret);
            assert!(!shown, "{name} is shown by {arguments:?}: {said:?}");
        }
        said
    }

    /// Runs a command whose answer goes into `answer`: its exit code, and what it says beside.
    async fn run_into(&self, answer: impl Into<Stdio>, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(answer);
        command.stderr(Stdio::piped());
        let running = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = running.await.unwrap();
        Said {
            code: output.status.code(),
            out: String::new(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a server and waits until it serves.
    pub(crate) async fn serve(&self) -> Process {
        let mut process = Process::start(self.command(&["serve"]), Stream::Errors);
        let line = process.line_with("portico serves").await;
        let entry: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| entry["fields"][name].as_str().unwrap().to_owned();
        process.listen = address("listen");
        process.internal = address("internal_listen");
        process
    }
}

impl Said {
    /// Asserts how it ended, and that it says all of `texts`.
    #[track_caller]
    pub(crate) fn assert(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        // How wide a column is depends on the other rows.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = format!("{}\n{}", self.out, self.err);
        for text in texts {
            let said = words(&all).contains(&words(text));
            assert!(said, "{text} is not said in:\n{all}");
        }
    }

    /// The answer for machines: an object a line.
    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        assert_eq!(self.code, Some(0), "{self:?}");
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The lines of the answer that begin with `word`.
    fn rows(&self, word: &str) -> Vec<&str> {
        let lines = self.out.lines();
        lines.filter(|line| line.starts_with(word)).collect()
    }
}

/// The binary with the configuration of a server of the harness, and its database.
pub(crate) fn portico_of(server: &TestServer, arguments: &[&str]) -> Command {
    let mut command = portico(arguments);
    command
        .env("PORTICO_CONFIG", server.write_config())
        .envs(server.variables(&Setup::default().master_key));
    command
}

/// The binary, without the variables of whoever runs the tests.
fn portico(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    for name in [
        "PORTICO_LISTEN",
        "PORTICO_DATABASE_URL",
        "PORTICO_LOG",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    ] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs a command to its end, with `input`, while the simulators of this test go on answering.
pub(crate) async fn run(mut command: Command, input: &str) -> Said {
    let input = input.to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have ended already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    });
    let output = running.await.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Which of its outputs a process is watched by.
#[derive(Clone, Copy)]
enum Stream {
    Answers,
    Errors,
}

/// A command that goes on until it is told to end. Dropped: killed.
pub(crate) struct Process {
    child: Child,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
    reader: Option<JoinHandle<()>>,
    listen: String,
    internal: String,
}

impl Process {
    fn start(mut command: Command, stream: Stream) -> Self {
        match stream {
            Stream::Answers => command.stdout(Stdio::piped()).stderr(Stdio::null()),
            Stream::Errors => command.stdout(Stdio::null()).stderr(Stdio::piped()),
        };
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let output: Box<dyn std::io::Read + Send> = match stream {
            Stream::Answers => Box::new(child.stdout.take().unwrap()),
            Stream::Errors => Box::new(child.stderr.take().unwrap()),
        };
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        let reader = std::thread::spawn(move || {
            // Read to the end, so that the process never waits for a full pipe.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            reader: Some(reader),
            listen: String::new(),
            internal: String::new(),
        }
    }

    /// The next line, while there are any to come.
    pub(crate) async fn next_line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// The next line that holds `text`.
    async fn line_with(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        while let Some(line) = self.next_line().await {
            if line.contains(text) {
                return line;
            }
            before.push(line);
        }
        panic!("it ended without {text}:\n{}", before.join("\n"));
    }

    /// Reads no more, and closes the pipe when the process has written one more line, which `last` makes it do.
    async fn hang_up(&mut self, last: impl Future) {
        self.lines.close();
        last.await;
        let reader = self.reader.take().unwrap();
        let joined = tokio::task::spawn_blocking(|| reader.join()).await;
        joined.unwrap().unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// Sends SIGTERM, as supervisors do, and waits: the exit code.
    fn terminate(mut self) -> Option<i32> {
        let kill = format!("kill -TERM {}", self.child.id());
        let sent: ExitStatus = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn loopback() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn config(imis: &str, aim18: &str) -> String {
    let (service, application) = (people::SERVICE.username, aim18::CLIENT_ID);
    format!(
        r#"issuer = "http://{NOWHERE}"

[server]
listen = "127.0.0.1:0"
internal_listen = "127.0.0.1:0"

[database]
url = {{ env = "DATABASE" }}

[keys]
master_key = {{ env = "MASTER_KEY" }}

[log]
format = "json"

[[upstreams]]
id = "members"
kind = "imis"
base_url = "{imis}"
service_account = {{ username = "{service}", password = {{ env = "IMIS_SERVICE_PASSWORD" }} }}

[[upstreams]]
id = "staff"
kind = "aim18"
login = ["redirect", "password"]
base_url = "{aim18}"
client_id = "{application}"
client_secret = {{ env = "AIM18_CLIENT_SECRET" }}

[[clients]]
client_id = "members-app"
client_name = "Members' App"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example.org/callback"]
scope = "openid profile"

[[clients]]
client_id = "reports"
client_secret = {{ env = "REPORTS_SECRET" }}
grant_types = ["client_credentials"]
scope = "reports:read"
"#
    )
}
