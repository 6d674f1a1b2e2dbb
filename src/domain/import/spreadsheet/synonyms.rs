//! Headings and words of spreadsheets in several languages, for suggestions only: staff review each suggestion.

use super::columns::Target;
use crate::tools::{spelling, text};

/// Headings for each column, as compared by [`simplified`].
const HEADINGS: [(Target, &[&str]); Target::ALL.len()] = [
    (
        Target::Email,
        &[
            "email",
            "emailaddress",
            "mail",
            "mailaddress",
            "emailadresse",
            "mailadresse",
            "courriel",
            "adressemail",
            "adresseelectronique",
            "correo",
            "correoelectronico",
            "posta",
            "postaelettronica",
            "emailadres",
            "epost",
            "poczta",
            "sahkoposti",
        ],
    ),
    (
        Target::Username,
        &[
            "username",
            "user",
            "login",
            "loginname",
            "benutzername",
            "benutzer",
            "kennung",
            "nutzername",
            "anmeldename",
            "nomdutilisateur",
            "utilisateur",
            "identifiant",
            "usuario",
            "nombredeusuario",
            "nomeutente",
            "gebruikersnaam",
            "utilizador",
        ],
    ),
    (
        Target::FirstName,
        &[
            "firstname",
            "givenname",
            "forename",
            "vorname",
            "rufname",
            "prenom",
            "nombre",
            "nome",
            "voornaam",
            "imie",
            "fornamn",
            "etunimi",
        ],
    ),
    (
        Target::LastName,
        &[
            "lastname",
            "surname",
            "familyname",
            "nachname",
            "familienname",
            "zuname",
            "name",
            "nom",
            "nomdefamille",
            "apellido",
            "apellidos",
            "cognome",
            "achternaam",
            "nazwisko",
            "efternamn",
            "sukunimi",
            "sobrenome",
        ],
    ),
    (
        Target::Bio,
        &["bio", "biography", "about", "biografie", "biographie", "biografia", "note", "notes", "notiz", "bemerkung"],
    ),
    (
        Target::Phone,
        &[
            "phone",
            "phonenumber",
            "telephone",
            "mobile",
            "telefon",
            "telefonnummer",
            "rufnummer",
            "handy",
            "handynummer",
            "mobil",
            "tel",
            "portable",
            "telefono",
            "movil",
            "cellulare",
            "telefoon",
        ],
    ),
    (
        Target::Address,
        &[
            "address",
            "postaladdress",
            "adresse",
            "anschrift",
            "postanschrift",
            "direccion",
            "indirizzo",
            "domicilio",
            "adres",
        ],
    ),
    (Target::Role, &["role", "rolle", "funktion", "fonction", "rol", "ruolo", "funcion", "cargo", "position"]),
    (
        Target::Permission,
        &["permission", "permissions", "rechte", "berechtigung", "droits", "permiso", "permisos", "zugriff", "acces"],
    ),
    (
        Target::IsActive,
        &["isactive", "active", "enabled", "aktiv", "freigeschaltet", "actif", "activo", "attivo", "actief", "status"],
    ),
    (
        Target::ExternalId,
        &[
            "externalid",
            "employeeid",
            "employeenumber",
            "personalnummer",
            "personalnr",
            "mitarbeiternummer",
            "mitgliedsnummer",
            "matricule",
            "matricola",
            "legajo",
            "numero",
        ],
    ),
];

/// Words for values, as compared by [`simplified`].
const WORDS: [(Target, &str, &[&str]); 9] = [
    (
        Target::IsActive,
        "true",
        &["ja", "oui", "si", "da", "tak", "sim", "x", "on", "wahr", "vrai", "aktiv", "active", "actif", "activo"],
    ),
    (
        Target::IsActive,
        "false",
        &["nein", "non", "nee", "nie", "nao", "off", "falsch", "faux", "inaktiv", "inactive", "inactif", "gesperrt"],
    ),
    (Target::Role, "ADMIN", &["administrator", "administratorin", "administrateur", "administrador"]),
    (
        Target::Role,
        "MANAGER",
        &["leitung", "leiter", "leiterin", "teamleitung", "chef", "chefin", "responsable", "gerente", "jefe", "capo"],
    ),
    (Target::Role, "AGENT", &["agente", "berater", "beraterin", "sachbearbeitung", "vertreter", "vertreterin"]),
    (
        Target::Role,
        "MEMBER",
        &["mitglied", "mitarbeiter", "mitarbeiterin", "membre", "miembro", "membro", "employee", "lid", "user"],
    ),
    (Target::Permission, "FULL_ACCESS", &["vollzugriff", "full", "alles", "total", "complet"]),
    (Target::Permission, "DOWNLOAD", &["herunterladen", "telecharger", "descargar", "export"]),
    (Target::Permission, "ONLY_VIEW", &["lesen", "nurlesen", "view", "read", "readonly", "lecture", "lectura"]),
];

/// Scores of a heading that is a column's name, one of its synonyms, misspelled by a letter, or has one among its words.
const SCORES: [u32; 4] = [4, 3, 2, 1];

/// Letters and digits without case and accents.
fn simplified(text: &str) -> String {
    spelling::plain(&text::fold(text)).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Similarity of a heading and a column; 0 if the heading means something else.
pub(super) fn score(heading: &str, target: Target) -> u32 {
    let [exact, synonym, misspelled, among] = SCORES;
    let own = simplified(heading);
    let known = HEADINGS.iter().find(|(of, _)| *of == target).map_or([].as_slice(), |(_, known)| *known);
    let words = heading.split(|c: char| !c.is_alphanumeric()).map(simplified);
    if heading.trim().to_lowercase() == target.name() {
        exact
    } else if known.contains(&own.as_str()) {
        synonym
    } else if known.iter().any(|known| known.len() > 4 && is_one_edit(&own, known)) {
        misspelled
    } else if words.into_iter().any(|word| word.len() > 3 && known.contains(&word.as_str())) {
        among
    } else {
        0
    }
}

/// The value that a word of a column stands for; none if it is unknown or a value itself.
pub(super) fn value(target: Target, word: &str) -> Option<&'static str> {
    let own = simplified(word);
    WORDS.iter().find(|(of, _, words)| *of == target && words.contains(&own.as_str())).map(|(_, value, _)| *value)
}

/// True if one text becomes the other by one inserted, deleted or replaced letter.
fn is_one_edit(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (rest, others) = (&one[same..], &other[same..]);
    match (rest, others) {
        ([_, rest @ ..], [_, others @ ..]) if rest == others => true,
        ([_, tail @ ..], _) if tail == others => true,
        (_, [_, tail @ ..]) => tail == rest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(heading: &str) -> Option<Target> {
        let scored = Target::ALL.into_iter().map(|target| (score(heading, target), target));
        scored.filter(|(score, _)| *score > 0).max_by_key(|(score, _)| *score).map(|(_, target)| target)
    }

    #[test]
    fn headings_are_recognized_in_several_languages_and_spellings() {
        for (heading, target) in [
            ("E-Mail", Target::Email),
            ("E-Mail-Adresse", Target::Email),
            ("Email (dienstlich)", Target::Email),
            ("Nachname", Target::LastName),
            ("Nachnahme", Target::LastName),
            ("Pr\u{e9}nom", Target::FirstName),
            ("Telefon-Nr.", Target::Phone),
            ("Rolle im Verein", Target::Role),
            ("aktiv?", Target::IsActive),
            ("is_active", Target::IsActive),
            ("Personal-Nr.", Target::ExternalId),
        ] {
            assert_eq!(best(heading), Some(target), "{heading}");
        }
        for heading in ["Schuhgr\u{f6}\u{df}e", "", "T-Shirt", "Eintritt", "Raum"] {
            assert_eq!(best(heading), None, "{heading}");
        }
    }

    #[test]
    fn words_are_recognized_and_values_are_not() {
        assert_eq!(value(Target::IsActive, " JA "), Some("true"));
        assert_eq!(value(Target::IsActive, "S\u{ed}"), Some("true"));
        assert_eq!(value(Target::Role, "Leitung"), Some("MANAGER"));
        assert_eq!((value(Target::Role, "MANAGER"), value(Target::Role, "ja")), (None, None));
    }

    #[test]
    fn the_values_of_words_are_those_of_their_columns() {
        assert!(WORDS.iter().all(|(target, value, _)| target.values().contains(value)));
    }
}
