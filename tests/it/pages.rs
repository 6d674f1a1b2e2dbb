//! Built-in pages in a browser without scripts.

use serde_json::json;
use test_macros::both_databases;

use crate::parity::recovery::reset_link;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Script of pages with passkeys, which has a version in its address.
const PASSKEY_SCRIPT: &str = "<script src=\"/account/passkeys.js?v=";

/// The page without its scripts.
fn unscripted(html: &str) -> String {
    let mut html = html.to_owned();
    for script in [PASSKEY_SCRIPT, "<script src=\"/account/pages.js?v="] {
        if let Some((before, after)) = html.split_once(script) {
            html = format!("{before}{}", after.split_once("\" defer></script>").unwrap().1);
        }
    }
    html
}

/// The part of a page between header and footer.
pub(crate) fn content(html: &str) -> &str {
    html.split_once("<main").expect("the page has content").1.split("</main>").next().unwrap()
}

/// A browser without scripts that keeps cookies and submits forms.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    app: &'a TestApp,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(app: &'a TestApp) -> Self {
        Self { app, cookies: Vec::new() }
    }

    /// The same browser, routed to another instance.
    pub(crate) fn at(&self, app: &'a TestApp) -> Self {
        Self { app, ..self.clone() }
    }

    pub(crate) async fn open(&mut self, path: &str) -> Answer {
        let request = self.app.anyone().request("GET", path);
        self.finish(request).await
    }

    /// Submits the first form of an open page with its hidden fields, and follows redirects.
    pub(crate) async fn submit(&mut self, page: &Answer, typed: &[(&str, &str)]) -> Answer {
        self.submit_to(page, "", typed).await
    }

    /// Submits the first form of an open page whose path starts like this, with its hidden fields, and follows redirects.
    pub(crate) async fn submit_to(&mut self, page: &Answer, path: &str, typed: &[(&str, &str)]) -> Answer {
        let (action, fields) = form(page, path);
        let typed = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.send(&action, fields.into_iter().chain(typed)).await
    }

    /// Sends a form with these fields, and follows redirects.
    pub(crate) async fn send(&mut self, action: &str, fields: impl IntoIterator<Item = (String, String)>) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.app.anyone().request("POST", action).body(body);
        let answer = self.finish(request.header("content-type", "application/x-www-form-urlencoded")).await;
        self.follow(answer).await
    }

    /// Submits a form with a file.
    pub(crate) async fn submit_file(&mut self, page: &Answer, path: &str, file: Vec<u8>) -> Answer {
        let (action, fields) = form(page, path);
        let mut parts = reqwest::multipart::Form::new();
        for (name, value) in fields {
            parts = parts.text(name, value);
        }
        let parts = parts.part("file", reqwest::multipart::Part::bytes(file).file_name("photo.png"));
        let answer = self.finish(self.app.anyone().request("POST", &action).multipart(parts)).await;
        self.follow(answer).await
    }

    /// Opens the page that a redirect leads to.
    pub(crate) async fn follow(&mut self, answer: Answer) -> Answer {
        match answer.status {
            303 => {
                let to = answer.header("location").to_owned();
                Box::pin(self.open(&to)).await
            }
            _ => answer,
        }
    }

    /// Sends this form, as a script of a page does.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        let request = self.app.anyone().request("POST", path).body(body.to_owned());
        self.finish(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sends a request with the cookies.
    pub(crate) async fn finish(&mut self, mut request: reqwest::RequestBuilder) -> Answer {
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        let answer = self.app.anyone().finish(request.header("sec-fetch-site", "same-origin")).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.cookies.retain(|(key, _)| key != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }
}

pub(crate) fn attribute(html: &str, name: &str) -> String {
    let (_, rest) = html.split_once(&format!("{name}=\"")).expect("the attribute exists");
    rest.split('"').next().unwrap().replace("&#38;", "&").replace("&#39;", "'")
}

/// Path and hidden fields of the first form of a page whose path starts like this.
fn form(page: &Answer, path: &str) -> (String, Vec<(String, String)>) {
    let mut forms = content(text(page)).split("<form").skip(1);
    let form = forms.find(|form| attribute(form, "action").starts_with(path)).expect("the page has the form");
    let form = form.split("</form>").next().unwrap();
    let hidden = form.split("<input type=\"hidden\"").skip(1);
    (attribute(form, "action"), hidden.map(|input| (attribute(input, "name"), attribute(input, "value"))).collect())
}

pub(crate) fn text(answer: &Answer) -> &str {
    answer.body.as_str().expect("the response is a page")
}

#[both_databases]
async fn opening_a_link_never_spends_it(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    let path = format!("/account/reset?uid={uid}&token={token}");
    for _ in 0..3 {
        assert!(text(&Browser::new(&app).open(&path).await).contains("Set a new password"));
        let head = app.anyone().finish(app.anyone().request("HEAD", &path)).await;
        assert_eq!(head.status, 200);
    }
    let mut browser = Browser::new(&app);
    let page = browser.open(&path).await;
    let new = [("newPassword", "quite a new long phrase"), ("newPasswordConfirm", "quite a new long phrase")];
    assert!(text(&browser.submit(&page, &new).await).contains("Your new password is set"));
    let dead = browser.open(&path).await;
    assert_eq!(dead.status, 422);
    assert!(text(&dead).contains("has expired or was already used") && text(&dead).contains("/account/forgot"));
}

#[both_databases]
async fn a_link_that_was_copied_from_a_mails_source_works(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    app.anyone().data("mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }", json!({})).await;
    let mails = app.mails().await;
    assert_eq!(mails[0].to, ada.email);
    let link = attribute(mails[0].html.split("<a ").nth(1).unwrap(), "href");
    assert!(link.contains("&amp;token=") && !link.contains("&#38;"), "{link}");
    let page = Browser::new(&app).open(link.strip_prefix(&app.url).unwrap()).await;
    assert_eq!(page.status, 200);
    assert!(text(&page).contains("Set a new password"));
}

#[both_databases]
async fn a_form_from_elsewhere_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = Browser::new(&app);
    browser.open("/account/forgot").await;
    let csrf = browser.cookie("csrf").unwrap().to_owned();
    let post = async |headers: &[(&'static str, &str)], field: &str| {
        let body = format!("csrf={field}&email=ada%40example.com");
        let mut request = app.anyone().request("POST", "/account/forgot").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.anyone().finish(request).await.status
    };
    let form = ("content-type", "application/x-www-form-urlencoded");
    let cookie = format!("csrf={csrf}");
    assert_eq!(post(&[form, ("cookie", &cookie)], &csrf).await, 303);
    assert_eq!(post(&[form], &csrf).await, 403);
    assert_eq!(post(&[form, ("cookie", &cookie)], "").await, 403);
    assert_eq!(post(&[form, ("cookie", &cookie), ("origin", "https://evil.example")], &csrf).await, 403);
    assert_eq!(post(&[form, ("cookie", &cookie), ("sec-fetch-site", "cross-site")], &csrf).await, 403);
    assert_eq!(post(&[("content-type", "text/plain"), ("cookie", &cookie)], &csrf).await, 415);
    assert_eq!(post(&[form, ("cookie", &cookie)], &"x".repeat(20_000)).await, 413);
}

#[both_databases]
async fn errors_appear_beside_the_field_and_input_is_kept(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let wrong = browser.submit(&page, &[("identifier", "ada"), ("password", "geheim!!")]).await;
    assert_eq!(wrong.status, 422);
    let html = text(&wrong);
    assert!(html.contains("role=\"alert\"") && html.contains("Wrong email, username or password."));
    assert!(html.contains("value=\"ada\"") && !html.contains("geheim!!"));
    assert!(html.contains("<title>Error: Sign in"));

    let (uid, token) = reset_link(&app, &ada.email).await;
    let page = browser.open(&format!("/account/reset?uid={uid}&token={token}")).await;
    let weak = browser.submit(&page, &[("newPassword", "short"), ("newPasswordConfirm", "short")]).await;
    let html = text(&weak);
    assert!(html.contains("<a href=\"#newPassword\">Use at least 8 characters.</a>"), "{html}");
    assert!(html.contains("aria-describedby=\"newPassword-hint newPassword-error\""), "{html}");
    let differ = browser.submit(&weak, &[("newPassword", PASSWORD), ("newPasswordConfirm", "else")]).await;
    assert!(text(&differ).contains("id=\"newPasswordConfirm-error\""));
    let good = browser.submit(&differ, &[("newPassword", PASSWORD), ("newPasswordConfirm", PASSWORD)]).await;
    assert!(text(&good).contains("Your new password is set"), "the link stayed good");
}

#[both_databases]
async fn somebody_registers_and_confirms_by_the_pages(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/register").await;
    let wanted =
        [("email", "eve@example.com"), ("username", ""), ("password", PASSWORD), ("passwordConfirm", PASSWORD)];
    let told = browser.submit(&page, &wanted).await;
    assert!(text(&told).contains("Check your email"));
    let mails = app.mails().await;
    let link = mails[0].text.split_whitespace().find(|word| word.contains("/account/verify?")).unwrap();
    let path = link.strip_prefix(&app.url).unwrap();
    let page = browser.open(path).await;
    assert!(text(&page).contains("Confirm your email address"));
    let done = browser.submit(&page, &[]).await;
    assert!(text(&done).contains("You are signed in"));
    assert!(browser.cookie("refresh_token").is_some_and(|token| !token.is_empty()));
    let spent = browser.open(path).await;
    assert_eq!(spent.status, 422);
    assert!(text(&spent).contains("has expired or was already used"));
    app.anyone().sign_in("eve@example.com", PASSWORD).await;
}

#[both_databases]
async fn closed_registration_closes_the_pages(place: Place) {
    let app = TestApp::start_with(&place, |config| config.registration = vestibule::config::Registration::Closed).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/register").await;
    assert_eq!(page.status, 403);
    assert!(text(&page).contains("Sign-up is closed"));
    assert!(!text(&browser.open("/account/sign-in").await).contains("/account/register"));
}

#[both_databases]
async fn pages_are_framed_and_scripted_by_nobody(place: Place) {
    let app = TestApp::start(&place).await;
    for path in [
        "/account/sign-in",
        "/account/forgot",
        "/account/password",
        "/account/register",
        "/account/verify",
        "/account/undo",
        "/account/reset",
    ] {
        let page = app.anyone().get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        let html = text(&page);
        assert!(html.contains("<html lang=\"en\">") && html.contains("name=\"viewport\""), "{path}");
        // Only scripts of the service run, and only that for passkeys loads anything.
        assert_eq!(html.contains("data-passkey"), html.contains(PASSKEY_SCRIPT), "{path}");
        assert!(policy.contains("script-src 'self'; "), "{path}: {policy}");
        assert_eq!(policy.contains("connect-src 'self';"), html.contains(PASSKEY_SCRIPT), "{path}: {policy}");
        assert!(
            !unscripted(html).contains("<script") && !html.contains("onpaste") && !html.contains("style="),
            "{path}"
        );
        for input in html.split("<input ").skip(1).filter(|input| !input.contains("type=\"hidden\"")) {
            assert!(
                input.contains("autocomplete=\"") && html.contains(&format!("for=\"{}\"", attribute(input, "id"))),
                "{input}"
            );
        }
    }
    let style = app.anyone().get("/account/style.css").await;
    assert!(style.header("content-type").starts_with("text/css"));
}

#[both_databases]
async fn too_many_requests_are_reported(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = Browser::new(&app);
    for _ in 0..3 {
        let page = browser.open("/account/forgot").await;
        assert!(text(&browser.submit(&page, &[("email", "ada@example.com")]).await).contains("Check your email"));
    }
    let page = browser.open("/account/forgot").await;
    let refused = browser.submit(&page, &[("email", "ada@example.com")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1200"));
    assert!(text(&refused).contains("Too many attempts. Try again in 20 minutes."), "{}", text(&refused));
    assert!(text(&refused).contains("value=\"ada@example.com\""));
}

#[both_databases]
async fn developers_read_their_mails_here_and_nobody_else_does(place: Place) {
    use vestibule::tools::mail::Transport;
    let app = TestApp::start_on_files(&place).await;
    app.anyone().data("mutation { requestReset(input: { email: \"admin@localhost\" }) { success } }", json!({})).await;
    app.deliver().await;
    let list = app.anyone().get("/dev/mail").await;
    let html = text(&list);
    assert!(html.contains("Reset your password at Vestibule") && html.contains("admin@localhost"), "{html}");
    let mail = app.anyone().get(&format!("/dev/mail/{}", attribute_after(html, "/dev/mail/"))).await;
    let path = text(&mail).split('"').find(|part| part.contains("/account/reset?uid=")).unwrap().to_owned();
    let path = path.replace("&#38;", "&").replace("&amp;", "&");
    let mut browser = Browser::new(&app);
    assert!(text(&browser.open(path.strip_prefix(&app.url).unwrap()).await).contains("Set a new password"));
    assert!(text(&mail).contains("<iframe sandbox"));
    for name in ["nonsense", "..%2f..%2fsecret.key", "../secret.key", "019b8d62-7a80-737f-9974-f356954f143d"] {
        assert_eq!(app.anyone().get(&format!("/dev/mail/{name}")).await.status, 404, "{name}");
    }
    assert_eq!(app.anyone().with_header("host", "evil.example").get("/dev/mail").await.status, 404);
    for name in ["x-forwarded-for", "x-forwarded-host", "forwarded", "via", "x-real-ip"] {
        assert_eq!(app.anyone().with_header(name, "198.51.100.7").get("/dev/mail").await.status, 404, "{name}");
    }
    assert!(matches!(app.app.mailer.transport, Transport::Folder(_)));

    let app = TestApp::start_with(&place, |config| config.mail_url = Some("smtp://127.0.0.1:1".parse().unwrap())).await;
    assert_eq!(app.anyone().get("/dev/mail").await.status, 404);
    let public = "https://accounts.example".parse().unwrap();
    let app = TestApp::start_with(&place, |config| config.public_url = Some(public)).await;
    assert_eq!(app.anyone().get("/dev/mail").await.status, 404);
    let app = TestApp::start_with(&place, |config| config.listen = "0.0.0.0:0".parse().unwrap()).await;
    assert_eq!(app.anyone().get("/dev/mail").await.status, 404);
}

fn attribute_after(html: &str, mark: &str) -> String {
    html.split(mark).nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[both_databases]
async fn markup_in_names_is_shown_and_not_obeyed(place: Place) {
    let app = TestApp::start_with(&place, |config| "<b>Site</b>".clone_into(&mut config.site_name)).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let name = "\"><script>alert(1)</script>";
    let again = browser.submit(&page, &[("identifier", name), ("password", ADMIN.1)]).await;
    let shown = unscripted(text(&again));
    assert!(!shown.contains("<script") && !shown.contains("<b>"), "{shown}");
    for path in ["/account/verify", "/account/undo"] {
        let odd = browser.open(&format!("{path}?token=%22%3E%3Cscript%3E")).await;
        assert!(!unscripted(text(&odd)).contains("<script"));
    }
}

#[both_databases]
async fn no_page_leads_anywhere_else(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let evil = "https://evil.example";
    let names = ["next", "redirect", "redirect_uri", "return_to", "returnTo", "url", "continue", "target", "done"];
    let query: Vec<String> = names.iter().map(|name| format!("{name}={evil}//evil.example")).collect();
    let query = query.join("&");
    for path in [
        "/",
        "/graphql",
        "/account/sign-in",
        "/account/forgot",
        "/account/register",
        "/account/verify",
        "/account/undo",
        "//evil.example",
        "/%2f%2fevil.example",
        "/\\evil.example",
    ] {
        let request = app.anyone().request("GET", &format!("{path}?{query}")).header("accept", "text/html");
        let answer = app
            .anyone()
            .with_header("host", "evil.example")
            .with_header("x-forwarded-host", "evil.example")
            .finish(request)
            .await;
        let to = answer.header("location");
        assert!(to.is_empty() || to.starts_with('/') && !to.starts_with("//") && !to.contains("evil"), "{path}: {to}");
        let html = answer.body.as_str().unwrap_or_default();
        assert!(!html.contains(&format!("href=\"{evil}")) && !html.contains("action=\"http"), "{path}");
    }
    let mut browser = Browser::new(&app);
    let typed = names.iter().map(|name| (*name, evil));
    for (path, more) in [
        ("/account/sign-in", [("identifier", ADMIN.0), ("password", ADMIN.1)]),
        ("/account/forgot", [("email", ADMIN.0), ("x", "")]),
    ] {
        let page = browser.open(&format!("{path}?{query}")).await;
        let typed: Vec<(&str, &str)> = typed.clone().chain(more).collect();
        // The browser follows a redirect only to a path of this service, or fails.
        let answer = browser.submit(&page, &typed).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}
