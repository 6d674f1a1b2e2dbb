//! Requests that anyone may send.

use serde_json::{Value, json};

use crate::people::{Kind, Person};
use crate::wire::{Answer, Browser, Request};

/// A request about a person.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    /// Kinds of people to compare with unknown ones.
    pub(crate) kinds: &'static [Kind],
    put: fn(&Browser, &Person) -> Request,
    /// True if the response repeats the name, like pages that show the input again.
    echoes: bool,
    /// Number of requests for each name. The shortest time counts, because other load on the machine only adds to it.
    pub(crate) times: usize,
}

/// All requests.
pub(crate) const QUESTIONS: &[Question] = &[
    Question {
        name: "login, by address",
        kinds: &[
            Kind::Active,
            Kind::Staff,
            Kind::WithFactor,
            Kind::Inactive,
            Kind::Unverified,
            Kind::Imported,
            Kind::Waiting,
        ],
        put: |_, person| login(&person.email),
        echoes: false,
        times: 1,
    },
    Question {
        name: "login, by username",
        kinds: &[Kind::Active],
        put: |_, person| login(&person.name),
        echoes: false,
        times: 1,
    },
    Question {
        name: "page: sign in",
        kinds: &[Kind::Active, Kind::WithFactor],
        put: |browser, person| {
            form(browser, "/account/sign-in", &[("identifier", &person.email), ("password", "wrong")])
        },
        echoes: true,
        times: 1,
    },
    Question {
        name: "requestReset",
        kinds: &[Kind::Active, Kind::Staff, Kind::Inactive, Kind::Unverified, Kind::Imported, Kind::Waiting],
        put: |_, person| {
            document(
                "mutation($e: String!) { requestReset(input: { email: $e }) { success message errors { code } } }",
                &json!({ "e": person.email }),
            )
        },
        echoes: false,
        times: 3,
    },
    Question {
        name: "page: forgot",
        kinds: &[Kind::Active, Kind::Inactive],
        put: |browser, person| form(browser, "/account/forgot", &[("email", &person.email)]),
        echoes: false,
        times: 3,
    },
    Question {
        name: "register",
        kinds: &[Kind::Active, Kind::Inactive, Kind::Waiting],
        put: |_, person| register(&person.email),
        echoes: false,
        times: 1,
    },
    Question {
        name: "registerWithoutPassword",
        kinds: &[Kind::Active, Kind::Inactive, Kind::Waiting],
        put: |_, person| {
            document(
                "mutation($e: String!) { registerWithoutPassword(input: { email: $e }) { success message errors { code } } }",
                &json!({ "e": person.email }),
            )
        },
        echoes: false,
        times: 1,
    },
    Question {
        name: "page: register",
        kinds: &[Kind::Active, Kind::Waiting],
        put: |browser, person| {
            let fields = [("email", person.email.as_str()), ("password", PASSWORD), ("passwordConfirm", PASSWORD)];
            form(browser, "/account/register", &fields)
        },
        echoes: false,
        times: 1,
    },
    Question {
        name: "resendVerification",
        kinds: &[Kind::Active, Kind::Waiting],
        put: |_, person| {
            document(
                "mutation($e: String!) { resendVerification(input: { email: $e }) { success message errors { code } } }",
                &json!({ "e": person.email }),
            )
        },
        echoes: false,
        times: 3,
    },
    Question {
        name: "resetTokenIsValid",
        kinds: &[Kind::Active, Kind::Inactive],
        put: |_, person| {
            document(
                "query($u: ID!, $t: String!) { resetTokenIsValid(uid: $u, token: $t) }",
                &json!({ "u": person.id, "t": WRONG }),
            )
        },
        echoes: false,
        times: 3,
    },
    Question {
        name: "confirmReset",
        kinds: &[Kind::Active, Kind::Inactive],
        put: |_, person| {
            document(
                "mutation($i: ConfirmResetInput!) { confirmReset(input: $i) { success message errors { code message } } }",
                &json!({ "i": { "uid": person.id, "token": WRONG, "newPassword": PASSWORD } }),
            )
        },
        echoes: false,
        times: 3,
    },
    Question {
        name: "page: reset",
        kinds: &[Kind::Active],
        put: |_, person| Request::get(&format!("/account/reset?uid={}&token={WRONG}", person.id)),
        echoes: false,
        times: 3,
    },
];

const PASSWORD: &str = "another long phrase, theirs";

/// Token without a link.
const WRONG: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Question {
    /// Builds the request about this person.
    pub(crate) fn request(&self, browser: &Browser, person: &Person) -> Request {
        (self.put)(browser, person)
    }

    /// Removes the name from the response if the page repeats it.
    pub(crate) fn without_echo(&self, mut answer: Answer, person: &Person) -> Answer {
        if self.echoes {
            answer.body = answer.body.replace(&person.email, "[as typed]");
        }
        answer
    }
}

/// Builds a registration of this address.
pub(crate) fn register(email: &str) -> Request {
    document(
        "mutation($i: RegisterInput!) { register(input: $i) { success message errors { code } } }",
        &json!({ "i": { "email": email, "password": PASSWORD } }),
    )
}

fn login(identifier: &str) -> Request {
    document(
        "mutation($i: LoginInput!) { login(input: $i) { tokens { accessToken } user { id } errors { code message } } }",
        &json!({ "i": { "identifier": identifier, "password": "wrong" } }),
    )
}

fn document(query: &str, variables: &Value) -> Request {
    Request::post("/graphql", "application/json", &json!({ "query": query, "variables": variables }).to_string())
}

fn form(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Request {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("csrf", &browser.csrf).extend_pairs(fields);
    Request::post(path, "application/x-www-form-urlencoded", &body.finish())
}
