### Built-in pages.

page-document-title = { $title } – { $site }
page-document-title-error = Error: { $title } – { $site }
page-problem-heading = There is a problem
page-skip = Skip to the content
page-script-show = Show
page-script-hide = Hide
page-script-caps = Caps lock is on.
page-script-copy = Copy
page-script-copied = Copied
legal-imprint = Imprint
legal-privacy = Privacy
legal-terms = Terms

## Labels and hints

page-label-identifier = Email address or username
page-label-email = Email address
page-label-username = Username
page-label-first-name = First name
page-label-last-name = Last name
page-label-password = Password
page-label-repeat-password = Repeat password
page-label-current-password = Current password
page-label-new-password = New password
page-label-repeat-new-password = Repeat new password
page-label-phone = Phone number
page-label-address = Postal address
page-label-bio = About you
page-label-photo = New photo
page-label-new-email = New email address
page-label-last-used = Last used
page-label-signed-in = Signed in
page-label-expires = Expires
page-label-token-name = Name of the token
page-label-token-scopes = Permissions
page-label-token-life = Valid for
page-hint-own-username = You can sign in with it. Others may see it.
page-hint-bio = At most 2000 characters.
page-hint-photo = PNG, JPEG, WebP or GIF, at most 10 MB. It is cropped to a square around its center.
page-hint-new-email = We send a link to it. Your address changes when you open the link.
page-hint-token-name = A name helps you to recognize it, such as "Nightly export".
page-hint-username = Optional. If you leave it empty, we create a neutral one for you.
page-hint-password = At least { $min } characters, and not easy to guess.
page-label-app-code = Code of the app
page-hint-app-code = The six digits that the app shows now.
page-label-passkey-name = Name of the passkey
page-hint-passkey-name = Optional. A name helps you to recognize it, such as "Work laptop".

## Links

page-link-sign-in = Sign in
page-link-sign-in-instead = Already have an account? Sign in
page-link-back-to-sign-in = Back to sign in
page-link-forgot = Forgot your password?
page-link-register = Create an account
page-link-register-passkey = Sign up with a passkey instead of a password
page-link-register-password = Sign up with a password instead
page-link-register-again = Sign up again
page-link-request-new = Request a new link
page-link-send-again = Send another email
page-link-site = Continue to the site
page-link-graphiql = Open GraphiQL
page-link-back-to-form = Back to the form
page-link-security = Back to sign-in and security
page-link-own-security = Sign-in and security
page-link-change-password = Change your password
page-link-set-password = Set a password
page-link-continue = Continue
page-link-back-to-host = Back to { $host }
page-link-back-to-site = Back to the site
page-link-go-on = Continue
page-link-switch = Use another account
page-link-sign-out-everywhere = Sign out everywhere
page-link-token-new = Create a token
page-link-data-first = Download your data first
page-link-passkey-add = Add a passkey

## Sign in

page-sign-in-title = Sign in
page-button-sign-in = Sign in
page-signed-in-title = You are signed in
page-reload-title = One moment
page-password-set = Your new password is set. Sign in with it.
page-verified = Your email address is confirmed. You can sign in now.
page-verified-other-account = Your email address is confirmed. This browser is still signed in to another account. To switch accounts, sign in here.

## Sign out

page-sign-out-title = Sign out
page-sign-out-effect = You will be signed out on this browser.
page-sign-out-everywhere-effect = You can also sign out on all your devices and browsers. API tokens stay valid.
page-button-sign-out = Sign out
page-button-sign-out-everywhere = Sign out everywhere
page-signed-out-notice = You are signed out.

## Your account

page-account-title = Your account
page-account-personal = Personal data
page-account-sign-in = Sign-in
page-account-data = Your data
page-account-password-effect = You will be signed out on all other devices.
page-account-factor-on = A second factor protects your account.
page-account-factor-off = Only your password protects your account.
page-account-devices = { $count ->
        [one] { $count } device is signed in.
       *[other] { $count } devices are signed in.
    }
page-account-tokens = { $count ->
        [0] Scripts cannot act for you.
        [one] { $count } token for scripts
       *[other] { $count } tokens for scripts
    }
page-account-data-effect = Download everything that we store about you.
page-account-deactivate-effect = Nobody can sign in until an administrator activates your account again.
page-account-delete-effect = This cannot be undone.

## Profile and photo

page-profile-title = Profile
page-profile-saved = Your profile is saved.
page-button-save = Save
page-photo-heading = Photo
page-photo-alt = Your photo
page-photo-saved = Your photo is saved.
page-photo-removed = Your photo is removed.
page-button-photo-upload = Upload the photo
page-button-photo-remove = Remove the photo
photo-required = Choose a photo.
photo-too-large = The photo is too large. The maximum is 10 MB.
photo-incomplete = The photo did not arrive completely. Try again.

## Email address

page-email-title = Email address
page-email-present = Your email address is { $email }.
page-email-change-heading = Change it
page-button-email-change = Send the link
page-email-saved = Your email address is saved.
page-email-sent = We've sent the link. If you don't see the email, check the spam folder.
page-email-withdrawn = The change is withdrawn. Your email address stays as it is.
page-email-pending-badge = Change not confirmed
page-email-pending-heading = Waiting for confirmation
page-email-pending = We sent a link to { $email }. Until you open it, your email address stays as it is.
page-button-email-resend = Send the link again
page-button-email-withdraw = Withdraw the change

## Devices

page-sessions-title = Devices
page-sessions-effect = You are signed in on these devices and browsers.
page-session-present = This device
page-session-address = Network address of the sign-in: { $ip }
page-sessions-others = Other devices
page-sessions-advice = If you do not recognize a device, sign it out and change your password.
page-button-session-end = Sign out
page-button-sessions-end-others = Sign out on all other devices
page-session-ended = The device is signed out.
page-sessions-others-ended = You are signed out on all other devices.

## API tokens

page-tokens-title = API tokens
page-tokens-effect = With an API token, a script can act for you. It cannot change how you sign in.
page-tokens-none = You have no API tokens.
page-token-title = API token
page-token-scopes = Permissions: { $scopes }
page-token-prefix = Starts with { $prefix }
page-token-never-used = Never used
page-token-expired = Expired
page-token-new-title = Create an API token
page-button-token-create = Create the token
page-token-days = { $days ->
        [one] { $days } day
       *[other] { $days } days
    }
page-token-longest = { $days ->
        [0] Less than a day
        [one] { $days } day (longest)
       *[other] { $days } days (longest)
    }
page-token-created = The token "{ $name }" is ready.
page-token-repeated = This was done already. The secret is shown only once: if you missed it, replace it.
page-token-secret-title = Your new token
page-token-secret-heading = Secret
page-token-secret-effect = Copy the secret now. It is not shown again. Whoever has it can act for you.
page-token-rotate-heading = Replace the secret
page-token-rotate-effect = The old secret stops working at once. Name, permissions and expiry stay.
page-button-token-rotate = Replace the secret
page-token-delete-heading = Delete the token
page-token-delete-effect = Scripts that use it stop working at once.
page-button-token-delete = Delete the token
page-token-deleted = The token is deleted.
scope-read = Read
scope-read-effect = See what you can see.
scope-write = Write
scope-write-effect = Change your profile, photo and samples.
scope-export = Export
scope-export-effect = Download whole lists.
scope-manage-users = Manage users
scope-manage-users-effect = Create and change users who are not staff.

## Your data

page-data-title = Download your data
page-data-effect = You get a ZIP archive with everything that we store about you. Keep it in a safe place.
page-data-contents = It contains your profile and photo, your devices, API tokens and second factors without their secrets, the history of your account, and your samples, as JSON files.
page-button-data-download = Download the archive

## Deactivating and deleting the account

page-deactivate-title = Deactivate your account
page-deactivate-effect = You will be signed out everywhere, and your API tokens stop working. Your data stays. Only an administrator can activate your account again.
page-button-deactivate = Deactivate my account
page-deactivated = Your account is deactivated.
page-delete-title = Delete your account
page-delete-effect = Your account is deleted for good, with your devices, API tokens and photo. Records that others still need stay without your name.
page-button-delete = Delete my account
page-deleted = Your account is deleted.

## Second factor

page-second-factor-title = Enter your code
page-second-factor-ended-title = Please sign in again
page-label-code = Code
page-hint-second-factor = The current code of your authenticator app, or one of your recovery codes.

## Change a password

page-change-password-title = Change your password
page-change-password-effect = You will be signed out on all other devices and browsers.
page-button-change-password = Change password
page-password-changed-title = Your new password is set
page-temporary-password = You are signed in with a temporary password that others may have seen. Change it now.

## Register

page-register-title = Create an account
page-button-register = Create account
page-register-passkey-effect = A passkey signs you in with your fingerprint, face or screen lock, without a password. You create it when you follow the link that we email to you.
page-check-email-title = Check your email
page-registration-sent = We've sent you an email. Follow the link in it to finish signing up. If you don't see it, check your spam folder.
page-registration-closed-title = Sign-up is closed

## Confirm an email address

page-verify-title = Confirm your email address
page-button-verify = Confirm email address
page-verify-new-account = Confirm { $email } to create your account at { $site }.
page-verify-new-address = Confirm { $email } as the new email address of an account at { $site }.
page-verify-enter-account-password = Enter the password of that account. If this browser is signed in to it, you can leave the password empty. If you didn't request this, close this page: someone else entered your address.
page-verify-enter-password = You signed up in another browser, or someone else signed up with your address. Enter the password that you chose when you signed up. If you forgot it or didn't choose one, enter a new one; then only the email address is kept from the sign-up.
page-verify-create-passkey = Create a passkey to sign in with your fingerprint, face, screen lock or security key. If you signed up in another browser, or someone else signed up with your address, only the email address is kept from the sign-up.
page-verify-without-passkey = If there is no button for it, this browser has no passkeys, or its scripts are turned off. Set a password then.
page-verify-set-password = Set a password to sign in with. If you signed up in another browser, or someone else signed up with your address, only the email address is kept from the sign-up.
page-verify-password-heading = Set a password instead
page-button-verify-passkey = Create a passkey
page-button-verify-passkey-instead = Create a passkey instead of a password
page-account-created = Your account is created. You can sign in with the passkey.

## Undo a change of email address

page-undo-title = Restore this email address
page-undo-effect = Your account returns to the address this email was sent to. You will be signed out everywhere, and your API tokens and password stop working. Next, set a new password.
page-button-undo = Restore this email address
page-undo-failed-title = The change cannot be undone
page-email-change-undone = Your old email address is restored, and you were signed out everywhere. Set a new password now.

## Reset a password

page-forgot-title = Forgot your password?
page-forgot-effect = We'll email you a link to set a new one.
page-button-send-link = Send link
page-reset-sent = If this address has an account, we've sent an email with a link to it. If you don't see it, check your spam folder.
page-reset-title = Set a new password
page-button-set-password = Set password

## Problems

page-link-invalid-title = This link is not valid
page-link-invalid = This link has expired or was already used. Request a new one.
page-not-available = This is not available here.
page-signed-out = You were signed out in the meantime. Submit the form again.
page-foreign-form-title = Please submit the form again
page-foreign-form = It did not come from an open page of this site, or the page was open for too long.

## Emails on a development server

page-dev-mail-link = Emails of this development server
page-dev-mail-title = Emails – { $site }
page-dev-mail-site = { $site }: emails of this development server
page-dev-mails = Emails
page-dev-mail-all = All emails
page-dev-mail-none = There are no emails yet.
page-dev-mail-subject = Subject
page-dev-mail-to = To
page-dev-mail-sent = Sent
page-dev-mail-to-and-date = To { $to }, { $date }
page-dev-mail-text = Text
page-dev-mail-html = HTML
page-dev-mail-frame = Email as HTML

## Sign-in and security

page-security-title = Sign-in and security
page-security-account = You are signed in as { $email }.
page-app-heading = Authenticator app
page-app-none = An app on your phone shows a new code every 30 seconds. With an app, your password alone does not sign anyone in.
page-app-present = You added an app on { $added }.
page-button-app-add = Set up an app
page-button-app-replace = Set up another app instead
page-button-app-remove = Remove the app
page-app-removed = The app is removed.
page-app-title = Set up an authenticator app
page-app-steps = Scan the picture with an authenticator app on your phone. Then enter the code that the app shows.
page-app-scan-heading = Scan
page-app-secret = If you cannot scan the picture, enter this key in the app: { $secret }
page-qr-code = QR code for the authenticator app
page-app-confirm-heading = Confirm
page-button-app-confirm = Confirm the app
page-app-added = The app is set up. From now on, you need its codes to sign in.
page-codes-heading = Recovery codes
page-codes-none = You get recovery codes when you set up an app or add a passkey.
page-codes-left = A recovery code signs you in if you lose your phone or passkey. You have { $count ->
        [one] { $count } code
       *[other] { $count } codes
    } left.
page-button-codes-renew = Create new recovery codes
page-codes-title = Your recovery codes
page-codes-renewed = These codes replace all earlier ones.
page-codes-effect = Print these codes or save them in a safe place. Each works once. They are not shown again.
page-codes-list-heading = Codes
page-passkeys-heading = Passkeys
page-passkeys-effect = A passkey signs you in with your fingerprint, face or screen lock. With a passkey, your password alone does not sign anyone in.
page-passkeys-none = You have no passkeys.
page-passkeys-unavailable = This service has no domain name, so it cannot use passkeys.
page-passkey-nameless = Passkey without a name
page-passkey-present = { $name } (last use: { $used })
page-passkey-never-used = never
page-passkey-add-title = Add a passkey
page-passkey-steps = Your browser will ask you to confirm with your fingerprint, face, screen lock or security key.
page-passkey-needs-script = If there is no button below, this browser has no passkeys, or its scripts are turned off.
page-button-passkey-add = Create the passkey
page-passkey-added = The passkey is added.
page-passkey-problem = The passkey could not be used. Try again, or choose another way.
page-passkey-title = Passkey
page-button-passkey-rename = Save the name
page-passkey-renamed = The name is saved.
page-passkey-remove-heading = Remove the passkey
page-passkey-remove-effect = It no longer signs you in. Delete it in your browser or password manager as well.
page-button-passkey-remove = Remove the passkey
page-passkey-removed = The passkey is removed.
page-passkey-failed-title = The passkey did not sign you in
page-button-passkey-use = Use a passkey

## Proof of identity

page-prove-title = Confirm that it is you
page-prove-reason = The next step is sensitive. Confirm that it is you first.
page-button-prove = Continue
page-proved = Thank you. Go on with what you wanted to change.
