//! Parts of bodies that keep something until they are written.

use axum::body::Bytes;

/// Bytes with an owner.
struct Part<T> {
    bytes: Bytes,
    _owner: T,
}

impl<T> AsRef<[u8]> for Part<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same bytes, which keep `owner` until the connection drops them, once they are written.
pub(in crate::http) fn body_part<T: Send + 'static>(bytes: Bytes, owner: T) -> Bytes {
    Bytes::from_owner(Part { bytes, _owner: owner })
}
