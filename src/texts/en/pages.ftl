### Built-in pages.

page-document-title = { $title } – { $site }
page-document-title-error = Error: { $title } – { $site }
page-problem-heading = There is a problem

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
page-hint-username = Optional. If you leave it empty, we create a neutral one for you.
page-hint-password = At least { $min } characters, and not easy to guess.

## Links

page-link-sign-in = Sign in
page-link-sign-in-instead = Already have an account? Sign in
page-link-back-to-sign-in = Back to sign in
page-link-forgot = Forgot your password?
page-link-register = Create an account
page-link-register-again = Sign up again
page-link-request-new = Request a new link
page-link-send-again = Send another email
page-link-site = Continue to the site
page-link-graphiql = Open GraphiQL
page-link-back-to-form = Back to the form

## Sign in

page-sign-in-title = Sign in
page-button-sign-in = Sign in
page-signed-in-title = You are signed in
page-signed-in-effect = You stay signed in on this browser.
page-password-set = Your new password is set. Sign in with it.
page-verified = Your email address is confirmed. You can sign in now.
page-verified-other-account = Your email address is confirmed. This browser is still signed in to another account. To switch accounts, sign in here.

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
