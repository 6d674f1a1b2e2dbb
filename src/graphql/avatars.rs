//! Pictures of users.

use async_graphql::{Context, InputObject, Object, SimpleObject, Upload};

use crate::domain::avatars::{self, name::FileName};
use crate::error::Error;
use crate::graphql::context::{app, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// A picture to show for the signed-in user.
#[derive(InputObject)]
pub(crate) struct UploadAvatarInput {
    /// The picture: PNG, JPEG, WebP or GIF, 10 MB and 8192 by 8192 pixels at most. Its middle is taken, and of an
    /// animation the first frame. Colours are converted to sRGB.
    file: Upload,
}

/// The outcome of `uploadAvatar`.
#[derive(SimpleObject)]
pub(crate) struct UploadAvatarPayload {
    /// The signed-in user with the new picture; null where there are errors.
    user: Option<User>,
    /// FILE_TOO_LARGE or FILE_UNSUPPORTED.
    errors: Vec<UserError>,
}

/// The outcome of `removeAvatar`.
#[derive(SimpleObject)]
pub(crate) struct RemoveAvatarPayload {
    /// The signed-in user, without a picture.
    user: Option<User>,
    /// Always empty.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct AvatarsMutation;

#[Object]
impl AvatarsMutation {
    /// Shows a picture for the signed-in user, in place of the one before. What the file tells beside the picture, such
    /// as where it was taken, is dropped. Sent as multipart/form-data by the GraphQL multipart request specification.
    async fn upload_avatar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The picture.")] input: UploadAvatarInput,
    ) -> Answer<Option<UploadAvatarPayload>> {
        let (viewer, app) = (viewer(ctx)?, app(ctx));
        // Not `Upload::value`, which panics where a client writes the text that stands for a file without sending one.
        let Some(file) = ctx.query_env.uploads.get(input.file.0) else {
            let message = "`file` must be a file, sent as multipart/form-data.";
            return Err(Error::BadInput(message.to_owned()).into());
        };
        let (tools, file) = ((&app.avatar_encoder, &app.media), file.content.clone());
        let (user, errors) = outcome(ctx, avatars::upload(&app.db, &request(ctx).now, viewer, tools, file).await)?;
        Ok(Some(UploadAvatarPayload { user: user.map(User), errors }))
    }

    /// Takes the signed-in user's picture away.
    async fn remove_avatar(&self, ctx: &Context<'_>) -> Answer<Option<RemoveAvatarPayload>> {
        let (viewer, app) = (viewer(ctx)?, app(ctx));
        let user = avatars::remove(&app.db, &request(ctx).now, viewer, &app.media).await?;
        Ok(Some(RemoveAvatarPayload { user: Some(User(user)), errors: Vec::new() }))
    }
}

/// Where the picture of this name is, in this size or the next that there is.
pub(super) fn url(ctx: &Context<'_>, avatar: Option<&str>, size: i32) -> Answer<Option<String>> {
    let size = avatars::size(size)?;
    let largest = avatar.and_then(|text| text.parse::<FileName>().ok());
    Ok(largest.map(|largest| format!("{}/media/{}", app(ctx).public_url.as_str(), largest.at_least(size).path())))
}
