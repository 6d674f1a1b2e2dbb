//! Texts of mails.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::texts::Text;
use crate::tools::clock::Timestamp;

const HOUR: Duration = Duration::from_hours(1);

fn site() -> Site {
    Site {
        name: "Vestibule".into(),
        support: Some("help@example.org".into()),
        sign_in: "https://id.example.org/account/sign-in".into(),
        forgot_password: "https://id.example.org/account/forgot".into(),
        color: None,
        legal: Vec::new(),
    }
}

fn link(path: &str, hours: u32) -> Link {
    Link { url: format!("https://id.example.org/account/{path}?uid=7&token=geheim"), valid_for: HOUR * hours }
}

fn notice(name: Option<&str>) -> TokenNotice {
    let token = name.map(|name| TokenSummary { name: name.into(), scopes: "READ, EXPORT".into() });
    TokenNotice { at: Timestamp::from_millis(1_795_253_400_042), token }
}

fn device(program: Option<&str>) -> DeviceNotice {
    let address = Some("203.0.113.9".into());
    DeviceNotice { at: Timestamp::from_millis(1_795_253_400_042), program: program.map(str::to_owned), address }
}

fn occasions() -> Vec<(&'static str, Content)> {
    vec![
        ("verify_email", Content::VerifyEmail(link("verify", 24))),
        ("already_registered", Content::AlreadyRegistered),
        ("reset_password", Content::ResetPassword(link("reset", 1))),
        ("password_changed", Content::PasswordChanged { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("welcome_with_link", Content::Welcome(Some(link("reset", 72)))),
        ("welcome_without_link", Content::Welcome(None)),
        ("confirm_new_email", Content::ConfirmNewEmail(link("verify", 24))),
        ("email_changed", Content::EmailChanged { new_address: "anna.new@example.com".into(), undo: None }),
        (
            "email_changed_with_link",
            Content::EmailChanged { new_address: "anna.new@example.com".into(), undo: Some(link("undo", 168)) },
        ),
        ("email_change_undone", Content::EmailChangeUndone),
        ("api_token_created", Content::ApiTokenCreated(notice(Some("nightly export")))),
        ("api_token_rotated", Content::ApiTokenRotated(notice(Some("nightly export")))),
        ("api_token_revoked", Content::ApiTokenRevoked { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("api_token_deleted_meanwhile", Content::ApiTokenCreated(notice(None))),
        ("factor_added", Content::FactorAdded { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("factor_removed", Content::FactorRemoved { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("recovery_code_used", Content::RecoveryCodeUsed { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("recovery_codes_renewed", Content::RecoveryCodesRenewed { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("new_device", Content::NewDevice(device(Some("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0")))),
        ("new_device_forgotten", Content::NewDevice(DeviceNotice { program: None, address: None, ..device(None) })),
        ("totp_stopped", Content::TotpStopped { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("passkey_added", Content::PasskeyAdded { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("passkey_removed", Content::PasskeyRemoved { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("passkey_copied", Content::PasskeyCopied { at: Timestamp::from_millis(1_795_253_400_042) }),
        ("refresh_reused", Content::RefreshReused { at: Timestamp::from_millis(1_795_253_400_042) }),
    ]
}

/// True if the recipient of the mail confirmed the address.
fn greets_by_name(content: &Content) -> bool {
    !matches!(content, Content::VerifyEmail(_) | Content::ConfirmNewEmail(_))
}

fn rendered(site: &Site, name: &str, content: &Content) -> Message {
    let recipient = Recipient { address: "anna@example.org".into(), name: name.into() };
    render(site, &recipient, content, Uuid::nil())
}

#[test]
fn each_mail_matches_its_snapshot() {
    for (name, content) in occasions() {
        let mail = rendered(&site(), "Anna Berg", &content);
        insta::assert_snapshot!(format!("{name}.txt"), format!("Subject: {}\n\n{}", mail.subject, mail.text));
        insta::assert_snapshot!(format!("{name}.html"), mail.html);
    }
}

#[test]
fn without_a_support_address_mails_name_the_administrators() {
    let site = Site { support: None, ..site() };
    for (name, content) in occasions() {
        let mail = rendered(&site, "", &content);
        for body in [&mail.text, &mail.html] {
            assert!(!body.contains("Questions?") && !body.contains("help@"), "{name}: {body}");
            let names = matches!(
                content,
                Content::PasswordChanged { .. }
                    | Content::EmailChanged { undo: None, .. }
                    | Content::EmailChangeUndone
                    | Content::FactorAdded { .. }
                    | Content::FactorRemoved { .. }
                    | Content::RecoveryCodesRenewed { .. }
                    | Content::PasskeyAdded { .. }
                    | Content::PasskeyRemoved { .. }
                    | Content::PasskeyCopied { .. }
                    | Content::ApiTokenRevoked { .. }
            );
            assert_eq!(body.contains("the administrators of Vestibule"), names, "{name}: {body}");
        }
    }
}

#[test]
fn each_mail_names_the_user_the_site_and_its_links_in_both_forms() {
    for (name, content) in occasions() {
        let mail = rendered(&site(), "Anna Berg", &content);
        assert!(mail.subject.contains("Vestibule"), "{name}");
        let (url, holds) = match &content {
            Content::VerifyEmail(link)
            | Content::ResetPassword(link)
            | Content::Welcome(Some(link))
            | Content::ConfirmNewEmail(link)
            | Content::EmailChanged { undo: Some(link), .. } => (link.url.clone(), wording::span(link.valid_for)),
            Content::AlreadyRegistered | Content::Welcome(None) => (site().sign_in, String::new()),
            Content::PasswordChanged { .. }
            | Content::RefreshReused { .. }
            | Content::FactorAdded { .. }
            | Content::FactorRemoved { .. }
            | Content::RecoveryCodeUsed { .. }
            | Content::RecoveryCodesRenewed { .. }
            | Content::NewDevice(_)
            | Content::TotpStopped { .. }
            | Content::PasskeyAdded { .. }
            | Content::PasskeyRemoved { .. }
            | Content::PasskeyCopied { .. }
            | Content::ApiTokenRevoked { .. }
            | Content::ApiTokenCreated(_)
            | Content::ApiTokenRotated(_) => (site().forgot_password, "21 November 2026, 09:30 UTC".into()),
            Content::EmailChanged { undo: None, .. } => (String::new(), "a***@example.com".into()),
            Content::EmailChangeUndone => (String::new(), String::new()),
        };
        let greeting = if greets_by_name(&content) { "Hello Anna Berg," } else { "Hello," };
        for part in [greeting, "Vestibule", &url, &holds, "help@example.org"] {
            assert!(mail.text.contains(part), "{name}: {part}");
            assert!(mail.html.contains(&part.replace('&', "&amp;")), "{name}: {part}");
        }
    }
}

#[test]
fn mails_have_the_color_and_the_legal_links_of_the_site() {
    let legal = vec![(Text::new("legal-imprint"), "https://example.org/imprint?a=1&b=2".to_owned())];
    let site = Site { color: Some("#ffcc00".parse().unwrap()), legal, ..site() };
    for (name, content) in occasions() {
        let mail = rendered(&site, "", &content);
        assert!(mail.text.ends_with("\nImprint: https://example.org/imprint?a=1&b=2\n"), "{name}: {}", mail.text);
        assert!(mail.html.contains("href=\"https://example.org/imprint?a=1&amp;b=2\""), "{name}: {}", mail.html);
        assert!(!mail.html.contains("#2457c5") && !mail.html.contains("color: #ffffff; border-radius"), "{name}");
    }
    let mail = rendered(&site, "", &Content::ResetPassword(link("reset", 1)));
    assert!(mail.html.contains("background-color: #ffcc00; color: #000000;"), "{}", mail.html);
}

#[test]
fn nothing_is_fetched_to_show_a_mail() {
    for (name, content) in occasions() {
        let html = rendered(&site(), "Anna Berg", &content).html;
        assert!(
            ["<img", "src=", "url(", "@import", "<link", "<script"].iter().all(|part| !html.contains(part)),
            "{name}"
        );
    }
}

#[test]
fn markup_in_names_is_shown_and_not_obeyed() {
    for (name, content) in occasions() {
        let site = Site { name: "<b>Site</b>".into(), ..site() };
        let mail = rendered(&site, "<script>alert('x')</script>", &content);
        assert!(!mail.html.contains("<script") && !mail.html.contains("<b>"), "{name}: {}", mail.html);
        assert_eq!(mail.html.contains("&#60;script&#62;"), greets_by_name(&content), "{name}: {}", mail.html);
    }
    let changed = Content::EmailChanged { new_address: "<i>@example.org".into(), undo: None };
    assert!(!rendered(&site(), "", &changed).html.contains("<***"));
}

#[test]
fn the_name_of_a_token_is_repeated_only_where_it_is_harmless() {
    let of = |name: &str| rendered(&site(), "Anna", &Content::ApiTokenCreated(notice(Some(name))));
    let mail = of("<b>backup</b> of 'A & B'");
    assert!(mail.text.contains("Name: <b>backup</b> of 'A & B'\n"), "{}", mail.text);
    assert!(mail.html.contains("Name: &#60;b&#62;backup&#60;/b&#62; of &#39;A &amp; B&#39;<br>"), "{}", mail.html);
    let mail = of("verify at evil.example now");
    assert!(mail.text.contains("Name: verify at evil example now\n"), "{}", mail.text);
    for name in ["https://evil.example/renew", "www.evil.example", "write to me@evil.example", &"evil ".repeat(20)] {
        let mail = of(name);
        assert!(!format!("{}{}{}", mail.subject, mail.text, mail.html).contains("evil"), "{name}");
        assert!(mail.text.contains("Scopes: READ, EXPORT"), "{name}");
    }
}

#[test]
fn a_program_that_advertises_is_not_repeated() {
    let mail = rendered(&site(), "Anna", &Content::NewDevice(device(Some("Bot (+https://evil.example)"))));
    assert!(!format!("{}{}", mail.text, mail.html).contains("evil"), "{}", mail.text);
    assert!(mail.text.contains("Address: 203.0.113.9"), "{}", mail.text);
}

#[test]
fn names_made_to_advertise_are_not_repeated() {
    for (kind, content) in occasions() {
        let mail = rendered(&site(), "Win now: https://evil.example", &content);
        assert!(mail.text.starts_with("Hello,\n") && mail.html.contains("<p>Hello,</p>"), "{kind}");
        assert_eq!(mail.to_name, "", "{kind}");
        assert!(!format!("{}{}{}", mail.subject, mail.text, mail.html).contains("evil"), "{kind}");
    }
}

#[test]
fn mails_to_unconfirmed_addresses_have_no_names() {
    for content in [Content::VerifyEmail(link("verify", 24)), Content::ConfirmNewEmail(link("verify", 24))] {
        let mail = rendered(&site(), "Anna Berg", &content);
        assert_eq!(mail.to_name, "");
        assert!(!format!("{}{}{}", mail.subject, mail.text, mail.html).contains("Berg"), "{}", mail.text);
    }
}

#[test]
fn the_debug_forms_hide_links() {
    for (name, content) in occasions() {
        assert!(!format!("{content:?}").contains("geheim"), "{name}");
    }
}
