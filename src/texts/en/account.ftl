### Refusals about accounts, sign-in, passwords and tokens.

too-many-attempts = Too many attempts. Try again in { $minutes ->
        [one] { $minutes } minute
       *[other] { $minutes } minutes
    }.
password-too-short = Use at least { $min } characters.

## Command line: users, sessions, keys and API tokens.

operator-user-missing = There is no user { $user }. Give an id, a username or an email address.
operator-user-gone = This user no longer exists.
operator-already-superuser = { $email } is already a superuser.
operator-last-superuser = This is the last superuser. Create another one first with `vestibule create-superuser`.
operator-account-deactivated = This account is deactivated. Run `vestibule users enable` first.
operator-session-missing = There is no session with this id. It may have ended.
operator-api-token-missing = There is no API token with this id.
operator-key-missing = There is no signing key { $kid }. `vestibule keys list` lists them.
operator-secret-not-lost = the secret key is not lost: it unseals the signing keys. To replace a key, run `vestibule keys rotate --now`
copy-source-outdated = the source is not up to date. Run `vestibule migrate` on it first
copy-target-not-empty = the target is not empty: { $table } contains rows. Choose an empty database

## Errors and messages of the GraphQL API

too-many-attempts-soon = Too many attempts. Try again in less than a minute.
sign-in-required = You need to sign in.
sign-in-invalid = Your access token is not valid. Sign in again.
sign-in-expired = Your session has expired. Sign in again.
sign-in-revoked = Your session has ended. Sign in again.
sign-in-deactivated = Your account is deactivated. Contact your administrator.
no-permission = You do not have permission to do this.
input-rejected = The input was rejected.
service-busy = The service is busy. Try again in a moment.
another-import-runs = Another import is running. Try again when it has finished.
internal-error = Something went wrong on our side. Try again later.
file-missing = `file` must be a file. Send the request as multipart/form-data.
bom-invalid = Use `bom=true` or `bom=false`.
search-invalid = `search` can have at most { $max } characters, and no control characters.
separator-too-long = `separator` can have at most { $max } characters.
user-id-invalid = `userId` is not a valid user id.
refresh-cookie-foreign-origin = Pages of this origin cannot use the cookie. Omit `refreshTokenIn`, or add the origin to VESTIBULE_ALLOWED_ORIGINS.
refresh-cookie-required = The refresh token stays in the cookie that it came in. Omit `refreshTokenIn`.
registration-sent = We've sent you an email. Follow the link in it to finish signing up.
registration-resent = If you have started signing up with this address, we've sent a new email.
reset-requested = If this address has an account, we've sent an email with a link to set a new password.
reset-completed = Your new password is set. Sign in with it.
reset-completed-challenged = Your new password is set. Enter the code of your second factor to sign in.
reset-completed-signed-in = Your new password is set, and you are signed in.
email-change-undone = Your old email address is restored, and you were signed out everywhere. Reset your password now.

## Typed text, email addresses and usernames

text-required = Enter a value.
text-single-line = Use a single line without control characters.
text-control-characters = Remove the control characters from this text.
text-too-long = Use at most { $max ->
        [one] { $max } character
       *[other] { $max } characters
    }.
email-required = Enter an email address.
email-invalid = Enter an email address such as name@example.com.
email-too-long = Use an email address of at most { $max } bytes.
email-name-too-long = Use an email address with at most { $max } bytes before the "@".
email-taken = An account with this email address already exists.
username-required = Enter a username.
username-too-long = Use a username of at most { $max } characters.
username-characters = Use only letters, digits and . _ + - in a username, with at least one letter or digit.
username-taken = This username is taken.
username-reserved = This username belonged to another account until recently. Choose another one.
address-reserved = This email address, or a similar one, recently belonged to another account and may return to it. Wait until the undo link expires, or ask the owner of the address to sign up.
invisible-character = This contains an invisible character ({ $character }). Type it again instead of pasting it.

## Passwords

password-too-long = Use at most { $max } characters.
password-too-common = This password is too common. Choose another one.
password-easy-to-guess = This password is easy to guess. Try a few unrelated words.
password-too-similar = Don't use your name, username, email address or the site's name in your password.
password-breached = This password appears in lists of stolen passwords. Choose another one.
password-mismatch = The passwords don't match.
password-temporary = Choose a password other than the temporary one.
reauthentication-required = Confirm that it is you to continue.
password-expired = This temporary password has expired. Request a link by email to set a new one, or ask the operator for one (`vestibule users reset`).
password-missing = Enter your current password.
password-incorrect = Your current password is wrong.
current-password-required = Enter your current password to change your email address.

## Sign-in, sessions and API tokens

credentials-wrong = Wrong email, username or password. If you have just signed up, confirm your email address first.
account-inactive = This account is deactivated. Contact your administrator.
email-unverified = Confirm your email address first. Follow the link in the email we sent you.
session-invalid = You are not signed in, or your session has ended. Sign in again.
device-name = { $program } on { $system }
device-unknown = Unknown device
session-unknown = You have no session with this id. It may have ended.
api-token-scope-required = Select at least one scope.
api-token-scope-staff = Only staff can create tokens with the scope MANAGE_USERS.
api-token-expiry-past = Choose an expiry in the future.
api-token-expiry-late = An API token can be valid until { $latest } at most. Choose an earlier expiry, or leave it out.
api-token-limit = You have { $max } API tokens, the maximum. Delete one first.
api-token-unknown = You have no API token with this id.
api-token-expired = This API token has expired. Create a new one.

## Second factors

second-factor-required = Enter the code of your authenticator app, or a recovery code.
second-factor-incorrect = This code is wrong or was used before. Enter the current code of your app, or another recovery code.
totp-stopped = Too many wrong codes. Use a recovery code, or try again later.
challenge-invalid = This sign-in has expired or was already used. Sign in again.
enrollment-required = Your account needs a second factor. Set up an authenticator app to continue.
enrollment-invalid = This set-up has expired or was replaced. Start again.
totp-code-incorrect = This code is wrong. Enter the current code of your app, and check the clock of your phone.
factor-unknown = You have no second factor with this id.
factor-missing = You have no second factor. Set one up first.
own-factors = Remove your own second factor with `deleteFactor`.

## Links in mails

link-invalid = This link has expired or was already used. Request a new one.
undo-link-invalid = This link is no longer valid. Contact support.
undo-address-taken = This email address is now used by another account. Contact support.
email-change-missing = No new email address is waiting for confirmation.
email-change-taken = This email address is now used by another account.
account-password-required = Sign in to the account that changes its address to { $email }, or enter its password.
account-password-incorrect = Wrong password. Enter the password of the account that requested this address.
registration-passkey-required = Create a passkey, or enter a password, to confirm { $email }.
registration-password-required = Enter a password to confirm { $email }: the one chosen at sign-up, or a new one.

## Administering users

user-unknown = There is no user with this id.
user-changed-meanwhile = Somebody else changed this user in the meantime. Load the user again, then repeat your changes.
user-session-unknown = This user has no session with this id. It may have ended.
user-api-token-unknown = There is no API token with this id. It may have been revoked.
link-account-deactivated = This account is deactivated, so its links do not work. Activate it first.
link-invitation-accepted = This user already has a password. Send a link to reset it instead.
sign-in-problems-person = Enter either the id of a user, or a username or email address.
statistics-days = Choose between 1 and { $max } days.
users-too-many-to-change = Change at most { $max } users at a time.
users-required = Select at least one user.
users-too-many = Delete at most { $max } users at a time.
delete-unknown-user = There is no user with the id { $id }.
delete-own-account = You cannot delete your own account ({ $id }). Ask another staff member.
delete-superuser = The user { $id } is a superuser. Superusers cannot be deleted here.
superuser-protected = Superusers cannot be changed here.
last-superuser = You are the last superuser. Create another one first.
own-staff-rights = You cannot change your own staff rights. Ask another staff member.
own-role = You cannot change your own role. Ask another staff member.
own-permission = You cannot change your own permission. Ask another staff member.
own-deactivation = You cannot deactivate your own account here. Ask another staff member.
own-deletion = You cannot delete your own account here. Ask another staff member.
own-credentials = Change your own email address and password with `updateMe` and `changePassword`.

## Passkeys

passkey-refused = This passkey does not open an account here. Use another one, or sign in with your password.
passkey-incorrect = This passkey is not one of your account, or the request has expired. Try again.
passkey-challenge-expired = This request has expired or was already used. Try again.
passkey-exists = This passkey is already registered.
passkey-unusable = This passkey cannot be registered: { $reason }.
passkey-limit = You can have { $max } passkeys. Remove one first.
passkey-unknown = You have no passkey with this id.
passkey-last = This passkey is your only way to sign in. Set a password or add another passkey first.
passkey-base64 = The credential is not in base64url. Send what `toJSON()` of the browser's credential returns.
passkey-or-password = Send either a password or a passkey.
passkey-json = The browser's credential cannot be read. Try again.
