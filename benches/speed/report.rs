//! The table, and the same as JSON.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::{Figure, Form};

/// What was counted while one thing was done again and again.
#[derive(Default)]
pub(crate) struct Sample {
    /// How long each took, sorted.
    pub(crate) times: Vec<Duration>,
    pub(crate) requests: u64,
    pub(crate) signatures: u64,
    pub(crate) wall: Duration,
    /// What the server used of its core.
    pub(crate) processor: Duration,
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn float(count: usize) -> f64 {
    count as f64
}

impl Sample {
    /// How many there would be in a second that the core gives to nothing else.
    pub(crate) fn per_core(&self) -> f64 {
        float(self.times.len()) / self.processor.as_secs_f64().max(0.01)
    }

    fn per_second(&self) -> f64 {
        float(self.times.len()) / self.wall.as_secs_f64()
    }

    /// The time within which so many of a thousand were done, in milliseconds.
    fn quantile(&self, of_thousand: usize) -> f64 {
        let place = self.times.len() * of_thousand / 1000;
        let time = self
            .times
            .get(place.min(self.times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }

    fn each(&self, count: u64) -> f64 {
        float(usize::try_from(count).unwrap_or(usize::MAX)) / float(self.times.len().max(1))
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One figure over all rounds.
pub(crate) struct Row {
    pub(crate) figure: Figure,
    pub(crate) samples: Vec<Sample>,
    /// The same at the bare server.
    pub(crate) bare: Vec<Sample>,
}

impl Row {
    pub(crate) const fn new(figure: Figure) -> Self {
        Self {
            figure,
            samples: Vec::new(),
            bare: Vec::new(),
        }
    }

    pub(crate) fn of(&self, what: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(what))
    }

    /// How often the bare server does it, per second of processor time.
    fn bare_per_core(&self) -> f64 {
        median(self.bare.iter().map(Sample::per_core))
    }

    /// The time within which so many of a thousand of all rounds were done, in milliseconds.
    pub(crate) fn quantile(&self, of_thousand: usize) -> f64 {
        let mut all = Sample::default();
        for sample in &self.samples {
            all.times.extend(&sample.times);
        }
        all.times.sort_unstable();
        all.quantile(of_thousand)
    }
}

/// What the machine can do at the most, per second of processor time; `rows_wall` per second.
#[derive(Default)]
pub(crate) struct Bounds {
    pub(crate) handler: Vec<f64>,
    pub(crate) rs256: Vec<f64>,
    pub(crate) es256: Vec<f64>,
    pub(crate) ed_dsa: Vec<f64>,
    pub(crate) rows: Vec<f64>,
    pub(crate) rows_wall: Vec<f64>,
}

impl Bounds {
    fn signature(&self, form: Form) -> f64 {
        match form {
            // Its ID tokens are signed with the default.
            Form::Rs256 | Form::Opaque => 1.0 / median(self.rs256.iter().copied()),
            Form::Es256 => 1.0 / median(self.es256.iter().copied()),
            Form::EdDsa => 1.0 / median(self.ed_dsa.iter().copied()),
        }
    }

    /// The rate at which a core would do nothing but answer the requests and make the signatures of a figure.
    fn of(&self, row: &Row) -> f64 {
        let requests = row.of(|sample| sample.each(sample.requests));
        let signatures = row.of(|sample| sample.each(sample.signatures));
        let form = match row.figure {
            Figure::ClientCredentials(form) | Figure::Login(form) | Figure::Refresh(form) => form,
            _ => Form::Rs256,
        };
        let handler = 1.0 / median(self.handler.iter().copied());
        1.0 / (requests * handler + signatures * self.signature(form))
    }
}

/// All that was measured.
pub(crate) struct Report {
    pub(crate) database: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) bounds: Bounds,
    /// Logins with an upstream that takes its time.
    pub(crate) slow: Sample,
    /// One thing while others do another: here, and at the bare server.
    pub(crate) besides: Vec<(String, Sample, Sample)>,
    pub(crate) transactions: Option<Vec<(&'static str, f64)>>,
    pub(crate) ready: Duration,
    /// Kibibytes.
    pub(crate) idle: u64,
    pub(crate) loaded: u64,
    /// Bytes.
    pub(crate) binary: u64,
}

impl Report {
    pub(crate) fn print(&self, json: Option<&Path>) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let bound = |values: &[f64]| median(values.iter().copied());
        let bounds = &self.bounds;
        writeln!(
            out,
            "\n{}: one core's bounds, per second of processor time",
            self.database
        )?;
        for (name, value) in [
            ("answers of an empty handler", bound(&bounds.handler)),
            ("RS256 signatures", bound(&bounds.rs256)),
            ("ES256 signatures", bound(&bounds.es256)),
            ("EdDSA signatures", bound(&bounds.ed_dsa)),
            ("transactions of one row", bound(&bounds.rows)),
            ("the same, per second", bound(&bounds.rows_wall)),
        ] {
            writeln!(out, "{name:<34}{value:>12.0}")?;
        }
        writeln!(
            out,
            "\n{:<34}{:>10}{:>10}{:>7}{:>10}{:>7}{:>10}{:>9}{:>9}{:>10}{:>7}",
            "",
            "per core",
            "bare",
            "",
            "bound",
            "",
            "per s",
            "p50 ms",
            "p99 ms",
            "requests",
            "JWTs"
        )?;
        for row in &self.rows {
            let (rate, bound) = (row.of(Sample::per_core), self.bounds.of(row));
            let bare = row.bare_per_core();
            writeln!(
                out,
                "{:<34}{rate:>10.0}{bare:>10.0}{:>7.2}{bound:>10.0}{:>7.2}{:>10.0}{:>9.2}{:>9.2}{:>10.1}{:>7.1}",
                row.figure.name(),
                rate / bare,
                rate / bound,
                row.of(Sample::per_second),
                row.of(|sample| sample.quantile(500)),
                row.of(|sample| sample.quantile(990)),
                row.of(|sample| sample.each(sample.requests)),
                row.of(|sample| sample.each(sample.signatures)),
            )?;
        }
        writeln!(
            out,
            "{:<34}{:>10.0}{:>34}{:>10.0}{:>9.2}{:>9.2}",
            "login, RS256, iMIS takes 50 ms each",
            self.slow.per_core(),
            "",
            self.slow.per_second(),
            self.slow.quantile(500),
            self.slow.quantile(990),
        )?;
        for (name, ours, bare) in &self.besides {
            writeln!(
                out,
                "{name:<78}{:>9.2}{:>9.2}   (bare {:.2}, {:.2})",
                ours.quantile(500),
                ours.quantile(990),
                bare.quantile(500),
                bare.quantile(990),
            )?;
        }
        writeln!(out)?;
        for (form, count) in self.transactions.iter().flatten() {
            writeln!(out, "{count:>8.2}  transactions for a login, {form}")?;
        }
        let mebibytes = |kibibytes: u64| kibibytes.div_ceil(1024);
        writeln!(out, "{:>8}  ms until ready", self.ready.as_millis())?;
        writeln!(out, "{:>8}  MiB of memory when idle", mebibytes(self.idle))?;
        writeln!(
            out,
            "{:>8}  MiB at the most in this run",
            mebibytes(self.loaded)
        )?;
        writeln!(out, "{:>8}  MB of binary", self.binary / 1_000_000)?;
        if let Some(file) = json {
            std::fs::write(file, self.json().to_string())?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let bound = |values: &[f64]| median(values.iter().copied());
        let bounds = &self.bounds;
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.figure.name(),
                    "per_core_second": row.of(Sample::per_core),
                    "bare_server": row.bare_per_core(),
                    "of_bare_server": row.of(Sample::per_core) / row.bare_per_core(),
                    "bound": self.bounds.of(row),
                    "per_second": row.of(Sample::per_second),
                    "p50_ms": row.of(|sample| sample.quantile(500)),
                    "p99_ms": row.of(|sample| sample.quantile(990)),
                    "requests": row.of(|sample| sample.each(sample.requests)),
                    "jwts": row.of(|sample| sample.each(sample.signatures)),
                })
            })
            .collect();
        json!({
            "database": self.database,
            "bounds": {
                "empty_handler": bound(&bounds.handler),
                "rs256": bound(&bounds.rs256),
                "es256": bound(&bounds.es256),
                "eddsa": bound(&bounds.ed_dsa),
                "one_row_transactions": bound(&bounds.rows),
                "one_row_transactions_per_second": bound(&bounds.rows_wall),
            },
            "figures": rows,
            "login_with_an_upstream_of_50_ms": {
                "per_core_second": self.slow.per_core(),
                "per_second": self.slow.per_second(),
                "p50_ms": self.slow.quantile(500),
                "p99_ms": self.slow.quantile(990),
            },
            "beside": self.besides.iter().map(|(name, ours, bare)| json!({
                "name": name,
                "p50_ms": ours.quantile(500),
                "p99_ms": ours.quantile(990),
                "bare_p50_ms": bare.quantile(500),
                "bare_p99_ms": bare.quantile(990),
            })).collect::<Vec<_>>(),
            "transactions_per_login": self.transactions,
            "ready_ms": self.ready.as_millis(),
            "idle_kib": self.idle,
            "peak_kib": self.loaded,
            "binary_bytes": self.binary,
        })
    }
}
