//! The console of staff, in a browser without scripts.

mod exports;
mod forms;
mod hostile;
mod import;
mod list;
mod rights;
mod screens;
mod selected;
mod user;

use crate::pages::{Browser, attribute, text};
use crate::test_app::{ADMIN, PASSWORD, Person, TestApp};
use crate::test_client::Answer;

/// A browser in which a user has signed in.
async fn signed_in<'a>(app: &'a TestApp, person: &Person) -> Browser<'a> {
    sign_in(app, &person.email, PASSWORD).await
}

/// A browser in which the superuser has signed in.
async fn superuser(app: &TestApp) -> Browser<'_> {
    sign_in(app, ADMIN.0, ADMIN.1).await
}

async fn sign_in<'a>(app: &'a TestApp, identifier: &str, password: &str) -> Browser<'a> {
    let mut browser = Browser::new(app);
    let page = browser.open("/account/sign-in").await;
    let page = browser.submit(&page, &[("identifier", identifier), ("password", password)]).await;
    assert_eq!(page.status, 200, "{:?}", page.body);
    browser
}

/// A form of a page, with its fields as a browser would send them.
struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The form that is sent to this path.
    fn of(page: &Answer, action: &str) -> Self {
        let form = text(page).split("<form").skip(1).find(|form| attribute(form, "action") == action);
        let form = form.unwrap_or_else(|| panic!("no form for {action} in {}", text(page)));
        let form = form.split("</form>").next().unwrap();
        let mut fields = Vec::new();
        for tag in form.split('<').skip(1) {
            let (attributes, content) = tag.split_once('>').unwrap();
            let is = |name: &str| attributes.split_whitespace().any(|word| word == name);
            let is_choice = attributes.contains("\"checkbox\"") || attributes.contains("\"radio\"");
            let value =
                |of: &str| if of.contains("value=\"") { plain(&attribute(of, "value")) } else { "on".to_owned() };
            match attributes.split_whitespace().next().unwrap_or_default() {
                "input" if is("disabled") => {}
                "input" if is_choice && !is("checked") => {}
                "input" if attributes.contains(" name=\"") => {
                    fields.push((attribute(attributes, "name"), value(attributes)));
                }
                "textarea" if !is("disabled") => {
                    let text = content.strip_prefix('\n').unwrap_or(content);
                    fields.push((attribute(attributes, "name"), plain(text).replace('\n', "\r\n")));
                }
                "select" if !is("disabled") => {
                    let options =
                        form.split_once(&format!("<{attributes}>")).unwrap().1.split("</select>").next().unwrap();
                    let options: Vec<&str> = options.split("<option").skip(1).collect();
                    let chosen = options.iter().find(|option| option.split('>').next().unwrap().ends_with(" selected"));
                    fields.push((attribute(attributes, "name"), value(chosen.or(options.first()).unwrap())));
                }
                _ => {}
            }
        }
        Self { action: action.to_owned(), fields }
    }

    /// The same with a field filled in.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(key, _)| key != name);
        self.and(name, value)
    }

    /// The same with another value of a field.
    fn and(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Value of a field.
    fn value(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Sends it, and follows redirects.
    async fn send(self, browser: &mut Browser<'_>) -> Answer {
        browser.send(&self.action, self.fields).await
    }
}

/// A text of a page without its escapes.
fn plain(text: &str) -> String {
    let plain = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    plain.iter().fold(text.to_owned(), |text, (escaped, char)| text.replace(escaped, char))
}

/// Path of the page of a user.
fn page_of(person: &Person) -> String {
    format!("/console/users/{}", person.id)
}
