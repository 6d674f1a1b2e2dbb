//! Avatars.

use async_graphql::{Context, InputObject, Object, SimpleObject, Upload};

use crate::domain::avatars::{self, name::FileName};
use crate::graphql::context::{app, request, uploaded, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// Avatar to upload.
#[derive(InputObject)]
pub(crate) struct UploadAvatarInput {
    /// Image: PNG, JPEG, WebP or GIF, at most 10 MB and 8192 by 8192 pixels. It is cropped to a centered square; of an
    /// animation, the first frame is used. Colors are converted to sRGB.
    file: Upload,
}

/// Result of `uploadAvatar`.
#[derive(SimpleObject)]
pub(crate) struct UploadAvatarPayload {
    /// Your account with the new avatar; null if there are errors.
    user: Option<User>,
    /// FILE_TOO_LARGE or FILE_UNSUPPORTED.
    errors: Vec<UserError>,
}

/// Result of `removeAvatar`.
#[derive(SimpleObject)]
pub(crate) struct RemoveAvatarPayload {
    /// Your account, without an avatar.
    user: Option<User>,
    /// Always empty.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct AvatarsMutation;

#[Object]
impl AvatarsMutation {
    /// Sets your avatar. API tokens need the scope WRITE. Metadata (EXIF, location) is removed. Sent as
    /// multipart/form-data as in the GraphQL multipart request specification.
    async fn upload_avatar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Avatar to upload.")] input: UploadAvatarInput,
    ) -> Answer<Option<UploadAvatarPayload>> {
        let (viewer, app) = (viewer(ctx)?, app(ctx));
        let (now, file) = (&request(ctx).now, uploaded(ctx, &input.file)?.content.clone());
        let uploaded = avatars::upload(&app.db, now, viewer, &app.avatar_encoder, &app.media, file).await;
        let (user, errors) = outcome(ctx, uploaded)?;
        Ok(Some(UploadAvatarPayload { user: user.map(User), errors }))
    }

    /// Removes your avatar. API tokens need the scope WRITE.
    async fn remove_avatar(&self, ctx: &Context<'_>) -> Answer<Option<RemoveAvatarPayload>> {
        let (viewer, app) = (viewer(ctx)?, app(ctx));
        let user = avatars::remove(&app.db, &request(ctx).now, viewer, &app.media).await?;
        Ok(Some(RemoveAvatarPayload { user: Some(User(user)), errors: Vec::new() }))
    }
}

/// URL of the avatar in this size, or in the next larger one that exists.
pub(super) fn url(ctx: &Context<'_>, avatar: Option<&str>, size: i32) -> Answer<Option<String>> {
    let size = avatars::size(size)?;
    let largest = avatar.and_then(|text| text.parse::<FileName>().ok());
    Ok(largest.map(|largest| format!("{}/media/{}", app(ctx).public_url.as_str(), largest.at_least(size).path())))
}
