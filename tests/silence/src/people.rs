//! Names for the requests, each used once: with accounts of several kinds, and without an account.

use std::collections::HashMap;

use crate::ATTEMPTS;
use crate::SAMPLES;
use crate::questions::QUESTIONS;
use crate::service::Service;
use crate::wire::{Browser, Request};

/// State of a person in the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Unknown.
    Nobody,
    /// An account with a password.
    Active,
    /// A staff account.
    Staff,
    /// An account with a second factor.
    WithFactor,
    /// A deactivated account.
    Inactive,
    /// An account with an unconfirmed address.
    Unverified,
    /// An imported account without a password.
    Imported,
    /// A pending registration.
    Waiting,
}

const WITH_ACCOUNT: [Kind; 6] =
    [Kind::Active, Kind::Staff, Kind::WithFactor, Kind::Inactive, Kind::Unverified, Kind::Imported];

/// Subject of a request.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) id: String,
}

/// All names.
pub(crate) struct People {
    /// Ids of the accounts by username.
    ids: HashMap<String, String>,
    drawn: HashMap<Kind, usize>,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Active => "active",
            Self::Staff => "staff",
            Self::WithFactor => "with second factor",
            Self::Inactive => "inactive",
            Self::Unverified => "unverified",
            Self::Imported => "without password",
            Self::Waiting => "waiting",
        }
    }

    /// First letter of the names. All names have the same length.
    fn letter(self) -> char {
        match self {
            Self::Nobody => 'n',
            Self::Active => 'a',
            Self::Staff => 's',
            Self::WithFactor => 'f',
            Self::Inactive => 'i',
            Self::Unverified => 'u',
            Self::Imported => 'p',
            Self::Waiting => 'w',
        }
    }

    fn person(self, number: usize) -> Person {
        let name = format!("q{}{number:05}", self.letter());
        // Unknown id, replaced with that of an account if there is one.
        let id = format!("01890000-0000-7000-8000-{number:012}");
        Person { email: format!("{name}@example.com"), name, id }
    }
}

impl People {
    /// Creates the accounts. All share one password hash, because no request has the right password.
    pub(crate) fn make(service: &Service) -> Self {
        let mut sheet = "email,username\n".to_owned();
        for kind in WITH_ACCOUNT {
            let asked = QUESTIONS.iter().filter(|question| question.kinds.contains(&kind)).count();
            for number in 0..asked * SAMPLES * ATTEMPTS {
                let Person { name, email, .. } = kind.person(number);
                sheet += &format!("{email},{name}\n");
            }
        }
        service.import(&sheet);
        let hash = "(SELECT a.password_hash FROM users a WHERE a.username = 'admin')";
        for (change, names) in [
            (format!("password_hash = {hash}, is_verified = TRUE"), "'q%'"),
            ("is_staff = TRUE".to_owned(), "'qs%'"),
            ("has_second_factor = TRUE".to_owned(), "'qf%'"),
            ("is_active = FALSE".to_owned(), "'qi%'"),
            ("is_verified = FALSE".to_owned(), "'qu%'"),
            ("password_hash = NULL".to_owned(), "'qp%'"),
        ] {
            service.execute(&format!("UPDATE users SET {change} WHERE username LIKE {names}"));
        }
        Self { ids: service.ids("SELECT username, id FROM users WHERE username LIKE 'q%'"), drawn: HashMap::new() }
    }

    /// Draws unused names of this kind.
    pub(crate) fn draw(&mut self, service: &Service, kind: Kind, count: usize) -> Vec<Person> {
        let first = self.drawn.entry(kind).or_default();
        let mut drawn: Vec<Person> = (*first..*first + count).map(|number| kind.person(number)).collect();
        *first += count;
        for person in &mut drawn {
            if let Some(id) = self.ids.get(&person.name) {
                person.id.clone_from(id);
            }
        }
        if kind == Kind::Waiting {
            register(service, &drawn);
        }
        drawn
    }
}

fn register(service: &Service, people: &[Person]) {
    let mut browser = Browser::open(&service.address);
    for person in people {
        let request: Request = crate::questions::register(&person.email);
        let answer = browser.send(&request).0;
        assert!(answer.body.contains("\"success\":true"), "the registration was refused: {}", answer.body);
    }
}
