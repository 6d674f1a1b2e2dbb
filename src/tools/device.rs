//! Names of devices by their user agents, for people who look through their sessions. Clients choose their user agent, so
//! that a name is only a label.

use crate::texts::Text;

/// Browsers and programs by a part of their user agent. Most browsers also name those that they imitate: the first one
/// found counts.
const PROGRAMS: [(&str, &str); 22] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Electron/", "Electron"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("curl/", "curl"),
    ("python-requests/", "Python"),
    ("okhttp/", "OkHttp"),
    ("Dart/", "Dart"),
];

/// Systems by a part of the user agent; the first one found counts.
const SYSTEMS: [(&str, &str); 9] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("iPod", "iPod"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// Name of a device, such as "Firefox on Windows".
pub fn name(user_agent: Option<&str>) -> String {
    let text = user_agent.unwrap_or_default();
    let first =
        |known: &[(&str, &'static str)]| known.iter().find(|(part, _)| text.contains(part)).map(|(_, name)| *name);
    match (first(&PROGRAMS), first(&SYSTEMS)) {
        (Some(program), Some(system)) => {
            Text::new("device-name").with("program", program).with("system", system).english()
        }
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => Text::new("device-unknown").english(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_devices_are_named() {
        let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)";
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, expected) in [
            (format!("{windows} Gecko/20100101 Firefox/140.0"), "Firefox on Windows"),
            (format!("{windows} {webkit} Chrome/138.0.0.0 Safari/537.36"), "Chrome on Windows"),
            (format!("{windows} {webkit} Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0"), "Edge on Windows"),
            (format!("{windows} {webkit} Chrome/137.0.0.0 Safari/537.36 OPR/120.0.0.0"), "Opera on Windows"),
            (format!("{mac} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"), "Safari on macOS"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.5 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0 \
                 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Chrome on iPad",
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 15; SM-S931B) {webkit} SamsungBrowser/28.0 Chrome/130 Mobile Safari"
                ),
                "Samsung Internet on Android",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(), "Firefox on Linux"),
            (format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/138.0.0.0"), "Chrome on ChromeOS"),
            ("curl/8.14.1".to_owned(), "curl"),
            ("SomethingElse (Windows)".to_owned(), "Windows"),
            ("something else".to_owned(), "Unknown device"),
            (String::new(), "Unknown device"),
        ] {
            assert_eq!(name(Some(&agent)), expected, "{agent}");
        }
        assert_eq!(name(None), "Unknown device");
    }
}
