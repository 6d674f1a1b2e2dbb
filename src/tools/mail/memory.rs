//! Delivery into memory, for tests.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message::Message;
use super::transport::SendError;

/// Keeps the sent messages in order, including repetitions. Clones share them, so that a test can keep one and give
/// another to the service.
#[derive(Clone, Default)]
pub struct Memory {
    messages: Arc<Mutex<Vec<Message>>>,
    failures: Arc<Mutex<VecDeque<SendError>>>,
}

impl Memory {
    /// The messages sent so far.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.messages).clone()
    }

    /// Returns and removes the messages sent since the last call.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut lock(&self.messages))
    }

    /// Makes the next `times` deliveries fail with this error, after earlier scheduled failures.
    pub fn fail_next(&self, times: usize, error: &SendError) {
        lock(&self.failures).extend(std::iter::repeat_n(error.clone(), times));
    }

    pub(super) fn keep(&self, message: &Message) -> Result<(), SendError> {
        if let Some(error) = lock(&self.failures).pop_front() {
            return Err(error);
        }
        lock(&self.messages).push(message.clone());
        Ok(())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} messages)", lock(&self.messages).len())
    }
}

/// A panic in another test leaves the lists intact.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::tools::clock::Timestamp;
    use crate::tools::mail::Transport;

    #[tokio::test]
    async fn memory_keeps_sent_messages_and_fails_as_often_as_requested() {
        let memory = Memory::default();
        let transport = Transport::Memory(memory.clone());
        let from = "noreply@localhost".parse().unwrap();
        let mail = |number: u128| Message {
            to: "anna@example.org".into(),
            to_name: String::new(),
            subject: "Hello".into(),
            text: "text".into(),
            html: "html".into(),
            id: Uuid::from_u128(number),
        };
        let (later, never) = (SendError::temporary("451 later"), SendError::permanent("550 never"));
        memory.fail_next(2, &later);
        memory.fail_next(1, &never);
        let mut answers = Vec::new();
        for number in [1, 2, 3, 4, 4] {
            answers.push(transport.send(&from, Timestamp::from_millis(0), &mail(number)).await);
        }
        assert_eq!(answers, [Err(later.clone()), Err(later), Err(never), Ok(()), Ok(())]);
        assert_eq!(memory.messages(), [mail(4), mail(4)]);
        assert_eq!(memory.take(), [mail(4), mail(4)]);
        assert_eq!(memory.take(), []);
        let bad = transport.send(&from, Timestamp::from_millis(0), &Message { to: "nobody".into(), ..mail(5) }).await;
        assert!(bad.unwrap_err().permanent);
    }
}
