//! Tests against a scripted server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use mail_parser::MessageParser;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::*;
use crate::tools::clock::Timestamp;
use crate::tools::mail::{MailUrl, Message, Transport};

const LINK: &str = "https://id.example.org/reset?uid=7&token=geheim";

/// Replies of the server to each mail; `250 ok` after the last one. An empty reply leaves the client waiting.
type Answers = Arc<Mutex<VecDeque<(&'static str, String)>>>;

#[derive(Clone, Default)]
struct Server {
    answers: Answers,
    /// Recipients as received.
    recipients: Arc<Mutex<Vec<String>>>,
    received: Arc<Mutex<Vec<String>>>,
    /// EHLO names of the clients.
    names: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// Listens on a free port and returns it.
    async fn start(&self) -> u16 {
        self.start_at("127.0.0.1:0").await
    }

    async fn start_at(&self, address: &str) -> u16 {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *server.connections.lock().unwrap() += 1;
                tokio::spawn(server.clone().talk(stream));
            }
        });
        port
    }

    fn answer(&self, command: &'static str, line: impl Into<String>) {
        self.answers.lock().unwrap().push_back((command, line.into()));
    }

    /// The scripted reply to this command, if it is due.
    fn ordered(&self, command: &str) -> Option<String> {
        let mut answers = self.answers.lock().unwrap();
        answers.pop_front_if(|(ordered, _)| *ordered == command).map(|(_, line)| line)
    }

    async fn talk(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let greeting = self.ordered("GREETING");
        say(&mut stream, greeting.as_deref().unwrap_or("220 ready")).await;
        while let Some(line) = hear(&mut stream).await {
            let command = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            if command == "EHLO" {
                self.names.lock().unwrap().extend(line.split(' ').nth(1).map(str::to_owned));
            }
            if command == "RCPT" {
                self.recipients.lock().unwrap().push(line.clone());
            }
            let usual = match command.as_str() {
                "EHLO" => "250-fake\r\n250 AUTH PLAIN",
                "AUTH" => "235 in",
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            let answer = self.ordered(&command).unwrap_or_else(|| usual.to_owned());
            say(&mut stream, &answer).await;
            if command == "DATA" && answer == usual {
                let mail = hear_mail(&mut stream).await;
                match self.ordered("MAIL BODY") {
                    None => {
                        self.received.lock().unwrap().push(mail);
                        say(&mut stream, "250 kept").await;
                    }
                    Some(answer) => say(&mut stream, &answer).await,
                }
            }
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) {
    if !line.is_empty() {
        let _ = stream.write_all(format!("{line}\r\n").as_bytes()).await;
    }
}

async fn hear(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end().to_owned())
}

async fn hear_mail(stream: &mut BufReader<TcpStream>) -> String {
    let mut mail = String::new();
    while let Some(line) = hear(stream).await.filter(|line| line != ".") {
        mail.push_str(line.strip_prefix('.').unwrap_or(&line));
        mail.push_str("\r\n");
    }
    mail
}

fn mail(number: u128) -> Message {
    Message {
        to: "admin@localhost".into(),
        to_name: "Änne".into(),
        subject: "Hello".into(),
        text: format!("Open\n.\n{LINK}\nplease"),
        html: format!("<a href=\"{LINK}\">open</a>"),
        id: Uuid::from_u128(number),
    }
}

async fn send(transport: &Transport, message: &Message) -> Result<(), SendError> {
    let from = "Vestibule <noreply@localhost>".parse().unwrap();
    transport.send(&from, Timestamp::from_millis(1_795_253_400_042), message).await
}

async fn connect(server: &Server, user: &str) -> Transport {
    let url: MailUrl = format!("smtp://{user}127.0.0.1:{}", server.start().await).parse().unwrap();
    Transport::new(&url, &Trust::default())
}

/// Time for the tasks that return connections to the pool.
async fn let_others_run() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_mail_arrives_whole_and_the_connection_serves_again() {
    let server = Server::default();
    let transport = connect(&server, "user:geheim@").await;
    send(&transport, &mail(1)).await.unwrap();
    let_others_run().await;
    send(&transport, &mail(2)).await.unwrap();
    let received = server.received.lock().unwrap().clone();
    let parsed = MessageParser::default().parse(received[1].as_bytes()).unwrap();
    assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), mail(2).text);
    assert_eq!(parsed.body_html(0).unwrap(), mail(2).html);
    assert_eq!(parsed.message_id(), Some(format!("{}@localhost", Uuid::from_u128(2)).as_str()));
    assert_eq!((received.len(), *server.connections.lock().unwrap()), (2, 1));
}

#[tokio::test]
async fn answers_of_the_server_tell_whether_to_try_again() {
    let cases = [
        ("RCPT", "550 5.1.1 no such user", SendError::permanent("550 5.1.1 no such user")),
        ("RCPT", "450-4.2.0 grey\r\n450 4.2.0 listed", SendError::temporary("450 4.2.0 grey listed")),
        ("MAIL", "451 4.3.0 later", SendError::temporary("451 4.3.0 later")),
        ("RCPT", "550 no such user", SendError::permanent("550 no such user")),
        ("RCPT", "553 5.1.3 what is this?", SendError::permanent("553 5.1.3 what is this?")),
        ("DATA", "554 5.1.1 no valid recipients", SendError::permanent("554 5.1.1 no valid recipients")),
        ("MAIL BODY", "552 5.3.4 too big", SendError::permanent("552 5.3.4 too big")),
        ("MAIL BODY", "550 5.7.1 looks like spam", SendError::permanent("550 5.7.1 looks like spam")),
        ("MAIL BODY", "554 refused", SendError::permanent("554 refused")),
        // Errors of our settings, or of the server.
        ("GREETING", "554 no service for you", SendError::temporary("554 no service for you")),
        ("EHLO", "502 not implemented", SendError::temporary("502 not implemented")),
        ("EHLO", "504 who?", SendError::temporary("504 who?")),
        ("MAIL", "553 5.1.8 not from you", SendError::temporary("553 5.1.8 not from you")),
        ("MAIL", "550 5.7.1 sender refused", SendError::temporary("550 5.7.1 sender refused")),
        ("RCPT", "554 5.7.1 Relay access denied", SendError::temporary("554 5.7.1 Relay access denied")),
        ("RCPT", "550 we do not relay", SendError::temporary("550 we do not relay")),
        ("RCPT", "550 5.1.8 sender has no domain", SendError::temporary("550 5.1.8 sender has no domain")),
        ("RCPT", "503 5.5.1 sign in first", SendError::temporary("503 5.5.1 sign in first")),
        ("RCPT", "521 5.3.2 closed", SendError::temporary("521 5.3.2 closed")),
        ("MAIL BODY", "550 5.7.26 fails DMARC", SendError::temporary("550 5.7.26 fails DMARC")),
        ("MAIL BODY", "503 5.5.1 what?", SendError::temporary("503 5.5.1 what?")),
        ("AUTH", "535 5.7.8 geheim is wrong", SendError::temporary("535 the mail server rejected our sign-in")),
        ("EHLO", "421 4.3.2 closing", SendError::temporary("421 4.3.2 closing")),
    ];
    for (command, answer, expected) in cases {
        let server = Server::default();
        let transport = connect(&server, "user:geheim@").await;
        server.answer(command, answer);
        assert_eq!(send(&transport, &mail(1)).await, Err(expected), "{command}");
        assert_eq!(server.received.lock().unwrap().len(), 0, "{command}");
        send(&transport, &mail(1)).await.unwrap();
        assert_eq!(server.received.lock().unwrap().len(), 1, "{command}");
    }
}

#[tokio::test]
async fn what_the_server_quotes_of_the_mail_is_left_out() {
    for code in [451, 550] {
        let server = Server::default();
        let transport = connect(&server, "").await;
        server.answer("MAIL BODY", format!("{code}-refused for\r\n{code} {LINK} {}", "x ".repeat(300)));
        let error = send(&transport, &mail(1)).await.unwrap_err();
        assert!(error.summary.starts_with(&format!("{code} refused for x x")), "{error}");
        assert!(error.summary.chars().count() <= 200);
        assert!(!format!("{error:?}").contains("geheim") && !error.summary.contains("example.org"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_is_reached_by_an_ipv6_address_and_told_the_name_that_is_set() {
    let server = Server::default();
    let port = server.start_at("[::1]:0").await;
    let url: MailUrl = format!("smtp://[::1]:{port}/id.example.org").parse().unwrap();
    send(&Transport::new(&url, &Trust::default()), &mail(1)).await.unwrap();
    assert_eq!(server.received.lock().unwrap().len(), 1);
    assert_eq!(*server.names.lock().unwrap(), ["id.example.org"]);
}

#[tokio::test]
async fn a_server_whose_name_cannot_be_resolved_is_told_as_such() {
    let url: MailUrl = "smtp://no-such-host.invalid:25".parse().unwrap();
    let error = send(&Transport::new(&url, &Trust::default()), &mail(1)).await.unwrap_err();
    let told = "no connection to the mail server: the host name cannot be resolved";
    assert_eq!(error, SendError::temporary(told));
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: MailUrl = format!("smtp://user:geheim@{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let transport = Transport::new(&url, &Trust::default());
    let error = send(&transport, &mail(1)).await.unwrap_err();
    assert_eq!(error, SendError::temporary("no connection to the mail server: connection refused"));
    assert!(!format!("{transport:?}").contains("geheim"));
}

#[tokio::test]
async fn after_an_answer_that_never_came_the_next_mail_has_a_connection_of_its_own() {
    let server = Server::default();
    let mut transport = connect(&server, "").await;
    let Transport::Smtp(smtp) = &mut transport else { unreachable!() };
    smtp.limit = Duration::from_millis(500);
    server.answer("MAIL BODY", "");
    let error = send(&transport, &mail(1)).await.unwrap_err();
    assert_eq!(error, SendError::temporary("the mail server timed out"));
    let Transport::Smtp(smtp) = &mut transport else { unreachable!() };
    smtp.limit = DELIVERY;
    let_others_run().await;
    send(&transport, &mail(2)).await.unwrap();
    assert_eq!(*server.connections.lock().unwrap(), 2);
    assert_eq!(server.received.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_delivery_goes_on_where_nobody_waits_for_it() {
    let server = Server::default();
    let transport = connect(&server, "").await;
    assert_eq!(send(&transport, &mail(1)).now_or_never(), None);
    let arrival = async {
        while server.received.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DELIVERY, arrival).await.unwrap();
}

#[tokio::test]
async fn encryption_that_is_required_and_not_offered_sends_nothing() {
    let server = Server::default();
    let url: MailUrl = format!("smtp://127.0.0.1:{}?tls=required", server.start().await).parse().unwrap();
    let error = send(&Transport::new(&url, &Trust::default()), &mail(1)).await.unwrap_err();
    assert_eq!(
        error,
        SendError::temporary("the mail server lacks an extension that this message or our settings need")
    );
    assert_eq!(server.received.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_conversation_is_tried_as_before_a_mail_and_none_is_sent() {
    let server = Server::default();
    let port = server.start().await;
    let from = "noreply@example.org".parse().unwrap();
    let url = |rest: &str| format!("smtp://a%40b:geheim@127.0.0.1:{port}{rest}").parse().unwrap();
    let talk = probe(&url(""), &Trust::default(), &from).await;
    assert_eq!(
        talk,
        ProbeReport { done: vec!["connect", "EHLO", "AUTH", "MAIL FROM"], encrypted: false, failed: None }
    );

    server.answer("MAIL", "553 not from you");
    let talk = probe(&url(""), &Trust::default(), &from).await;
    let (step, error) = talk.failed.unwrap();
    assert_eq!((step, error.summary.as_str()), ("MAIL FROM", "553 not from you"));
    server.answer("EHLO", "504 who?");
    let talk = probe(&url(""), &Trust::default(), &from).await;
    assert_eq!((talk.done.as_slice(), talk.failed.unwrap().0), (["connect"].as_slice(), "EHLO"));
    server.answer("AUTH", "535 who is geheim?");
    let talk = probe(&url(""), &Trust::default(), &from).await;
    let (step, error) = talk.failed.unwrap();
    assert_eq!((step, talk.done.as_slice()), ("AUTH", ["connect", "EHLO"].as_slice()));
    assert!(!error.summary.contains("geheim"), "{error}");
    // The server offers no TLS; proceeding without it would reveal the password.
    let talk = probe(&url("?tls=required"), &Trust::default(), &from).await;
    assert_eq!(talk.failed.unwrap().0, "STARTTLS");
    assert!(server.received.lock().unwrap().is_empty());

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let talk = probe(&format!("smtp://127.0.0.1:{nobody}").parse().unwrap(), &Trust::default(), &from).await;
    assert_eq!((talk.done.len(), talk.failed.unwrap().0), (0, "connect"));
}

#[tokio::test]
async fn a_server_without_smtputf8_gets_the_domain_in_ascii() {
    let server = Server::default();
    let transport = connect(&server, "").await;
    let to = |address: &str| Message { to: address.into(), ..mail(7) };
    assert_eq!(send(&transport, &to("Ann@m\u{fc}nchen.example")).await, Ok(()));
    assert_eq!(*server.recipients.lock().unwrap(), ["RCPT TO:<Ann@xn--mnchen-3ya.example>"]);
    let received = server.received.lock().unwrap().pop().unwrap();
    assert!(received.contains("<Ann@xn--mnchen-3ya.example>"), "{received}");
    let refused = send(&transport, &to("j\u{f6}rg@m\u{fc}nchen.example")).await.unwrap_err();
    assert_eq!((refused.permanent, refused.summary.as_str()), (false, NO_SMTPUTF8));
}
