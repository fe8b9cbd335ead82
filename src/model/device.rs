//! What a person knows one of their sessions by: the browser and its system in coarse words, and the address.

/// Where somebody logged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// What kind of browser.
    pub browser: Option<String>,
    /// What it runs on.
    pub system: Option<String>,
    /// The client's address.
    pub address: Option<String>,
}

/// What a browser says, and what we call it. Nearly all call themselves Chrome and Safari besides, so the order counts.
const BROWSERS: [(&str, &str); 15] = [
    ("MicroMessenger/", "WeChat"),
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Android calls itself Linux, too, and an iPhone Mac OS X.
const SYSTEMS: [(&str, &str); 12] = [
    ("HarmonyOS", "HarmonyOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("iPhone", "iPhone"),
    ("iPod", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

fn word(user_agent: &str, words: &[(&str, &'static str)]) -> Option<String> {
    let found = words.iter().find(|(part, _)| user_agent.contains(part));
    found.map(|(_, word)| (*word).to_owned())
}

impl Device {
    /// That of a request with this `User-Agent`. Nothing of what the browser sent is kept, only words of ours.
    pub fn of(user_agent: Option<&str>, address: Option<&str>) -> Self {
        let user_agent = user_agent.unwrap_or_default();
        Self {
            browser: word(user_agent, &BROWSERS),
            system: word(user_agent, &SYSTEMS),
            address: address.map(ToOwned::to_owned),
        }
    }

    /// What is known of it; `both` says how the browser and its system go together. `None`: nothing is.
    pub fn in_words(&self, both: impl FnOnce(&str, &str) -> String) -> Option<String> {
        match (&self.browser, &self.system) {
            (Some(browser), Some(system)) => Some(both(browser, system)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn browsers_are_told_apart_though_they_all_call_themselves_mozilla() {
        let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        for (user_agent, browser, system) in [
            (format!("{windows} {webkit} Safari/537.36"), "Chrome", "Windows"),
            (format!("{windows} {webkit} Safari/537.36 Edg/140.0.0.0"), "Edge", "Windows"),
            (format!("{windows} {webkit} Safari/537.36 OPR/120.0.0.0"), "Opera", "Windows"),
            (format!("{phone} Version/18.6 Mobile/15E148 Safari/604.1"), "Safari", "iPhone"),
            (format!("{phone} CriOS/140.0 Mobile/15E148 Safari/604.1"), "Chrome", "iPhone"),
            (format!("{phone} FxiOS/143.0 Mobile/15E148 Safari/605.1.15"), "Firefox", "iPhone"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15".to_owned(),
                "Safari", "macOS",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0".to_owned(),
                "Firefox", "Linux",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Mobile Safari/537.36"),
                "Chrome", "Android",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 13; SM-S901B) SamsungBrowser/28.0 {webkit} Mobile Safari/537.36"),
                "Samsung Internet", "Android",
            ),
            (format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Safari/537.36"), "Chrome", "ChromeOS"),
        ] {
            let device = Device::of(Some(&user_agent), None);
            let found = (device.browser.as_deref(), device.system.as_deref());
            assert_eq!(found, (Some(browser), Some(system)), "{user_agent}");
        }
        assert_eq!(Device::of(Some("curl/8.5.0"), None), Device::default());
        assert_eq!(Device::of(None, None), Device::default());
    }

    proptest! {
        /// T52: nothing of what a browser sends comes out, whatever it is.
        #[test]
        fn what_is_kept_is_a_word_of_ours(user_agent in "(.{0,20}|Firefox/|<b>|Windows|Chrome/9){0,9}") {
            let device = Device::of(Some(&user_agent), None);
            let known = |words: &[(&str, &str)], found: Option<String>| {
                found.is_none_or(|found| words.iter().any(|(_, word)| *word == found))
            };
            prop_assert!(known(&BROWSERS, device.browser));
            prop_assert!(known(&SYSTEMS, device.system));
        }
    }
}
