use ring::digest::{Context, SHA256};
use sea_orm::{EntityTrait, Iterable as _, ModelTrait, Value};

use crate::error::{Error, Result};

/// Number of rows, and a digest that does not depend on their order: databases sort text differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TableChecksum {
    pub(super) rows: u64,
    /// Sum of the rows' SHA-256 digests, in four parts.
    sum: [u64; 4],
}

impl TableChecksum {
    /// Adds a row: the value of each column, with its type and whether it is null.
    pub(super) fn add<M: ModelTrait>(&mut self, row: &M) -> Result<()> {
        let mut context = Context::new(&SHA256);
        for column in <M::Entity as EntityTrait>::Column::iter() {
            feed(&mut context, &row.get(column))?;
        }
        let digest = context.finish();
        let (parts, _) = digest.as_ref().as_chunks::<8>();
        for (sum, part) in self.sum.iter_mut().zip(parts) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*part));
        }
        self.rows += 1;
        Ok(())
    }

    /// Start of the digest, for people to compare.
    pub(super) fn to_text(self) -> String {
        self.sum.iter().take(2).map(|part| format!("{part:016x}")).collect()
    }
}

fn feed(context: &mut Context, value: &Value) -> Result<()> {
    let (tag, bytes) = match value {
        Value::Bool(value) => (b'b', value.map(|value| vec![u8::from(value)])),
        Value::Int(value) => (b'i', value.map(|value| value.to_be_bytes().to_vec())),
        Value::BigInt(value) => (b'l', value.map(|value| value.to_be_bytes().to_vec())),
        Value::String(value) => (b't', value.as_ref().map(|value| value.as_bytes().to_vec())),
        Value::Bytes(value) => (b'x', value.clone()),
        Value::Uuid(value) => (b'u', value.map(|value| value.as_bytes().to_vec())),
        other => return Err(Error::internal(format!("unsupported kind of value: {other:?}"))),
    };
    context.update(&[tag, u8::from(bytes.is_some())]);
    let bytes = bytes.unwrap_or_default();
    context.update(&bytes.len().to_be_bytes());
    context.update(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::sample;
    use crate::tools::clock::Timestamp;
    use uuid::Uuid;

    fn row(key: &str, title: &str, modified_by: Option<Uuid>) -> sample::Model {
        let (created_at, modified_at) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        let (key, title) = (key.to_owned(), title.to_owned());
        sample::Model { id: Uuid::nil(), key, title, created_at, modified_at, modified_by }
    }

    fn tally(rows: &[sample::Model]) -> TableChecksum {
        let mut tally = TableChecksum::default();
        for row in rows {
            tally.add(row).unwrap();
        }
        tally
    }

    #[test]
    fn the_order_of_rows_does_not_count_and_everything_in_them_does() {
        let (one, other) = (row("a", "b", None), row("c", "d", Some(Uuid::max())));
        assert_eq!(tally(&[one.clone(), other.clone()]), tally(&[other.clone(), one.clone()]));
        let changed = [
            row("a", "b", Some(Uuid::nil())),
            row("ab", "", None),
            row("", "ab", None),
            row("b", "a", None),
            row("a", "B", None),
        ];
        for changed in changed {
            assert_ne!(tally(&[changed, other.clone()]), tally(&[one.clone(), other.clone()]));
        }
        assert_ne!(tally(&[one.clone(), one.clone()]), tally(&[one]));
    }
}
