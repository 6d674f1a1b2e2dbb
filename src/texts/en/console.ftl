### The console for staff.

console-title = Console
console-document-title = { $title } – Console – { $site }
console-document-title-error = Error: { $title } – Console – { $site }
console-nav = Console
console-nav-users = Users
console-staff-only = The console is for staff. Sign in with an account that has staff rights.
console-link-switch = Sign in with another account
console-failed-title = This did not work
console-missing-title = Not found
console-missing = This does not exist, or no longer exists. Go back to the list.
console-link-open = Open the console for staff
console-link-users = Back to the users
console-link-back = Back
console-yes = Yes
console-no = No
console-never = Never
console-any = Any

## Roles and permissions

console-role-admin = Administrator
console-role-manager = Manager
console-role-agent = Agent
console-role-member = Member
console-permission-view = View only
console-permission-download = View and download
console-permission-full = Full access

## Labels

console-label-email = Email address
console-label-pending-email = Unconfirmed new email address
console-label-username = Username
console-label-first-name = First name
console-label-last-name = Last name
console-label-phone = Phone
console-label-address = Postal address
console-label-bio = Biography
console-label-avatar = Picture
console-label-role = Role
console-label-permission = Permission
console-label-active = Active
console-label-staff = Staff
console-label-superuser = Superuser
console-label-verified = Email address confirmed
console-label-external-id = External id
console-label-id = Id
console-label-password = Password
console-label-own-password = Your password
console-label-last-login = Last sign-in
console-label-updated = Last change
console-hint-username = Optional. If you leave it empty, a neutral one is created.
console-hint-staff = Staff administer users, here and in the API.
console-active = Active
console-inactive = Inactive
console-verified = Confirmed
console-unverified = Unconfirmed
console-online = Online
console-offline = Offline
console-two-factors = Two factors

## List of users

console-users-title = Users
console-new-user = New user
console-search = Search users
console-search-hint = Name, username or email address
console-button-search = Search
console-filters = Filters
console-filters-some = Filters ({ $count })
console-filter-active = Account
console-filter-verified = Email address
console-filter-staff = Staff flag
console-filter-factor = Second factor
console-filter-online = Presence
console-filter-joined-from = Joined from
console-filter-joined-to = Joined to
console-size = Users per page
console-on-page = { $count ->
    [one] { $count } user on this page
   *[other] { $count } users on this page
}
console-total = { $count ->
    [one] { $count } user
   *[other] { $count } users
}
console-count = Count all
console-clear = Clear search and filters
console-export-csv = Export CSV
console-export-xlsx = Export Excel
console-users-none = No user matches
console-users-none-hint = Check the spelling, use fewer letters, or remove a filter.
console-users-caption = Users. Headings with links sort the list.
console-column-select = Select
console-column-name = Name
console-column-role = Role and state
console-column-joined = Joined
console-column-active = Last active
console-select-all = Select all users on this page
console-with-selected = With the selected users:
console-selected = # selected:
console-selected-none = Select at least one user.
console-button-send-link = Send a link
console-button-deactivate = Deactivate
console-button-delete = Delete
console-pages = Pages
console-previous = Previous
console-next = Next
console-page = Page { $page }
console-page-of = Page { $page } of { $pages }
console-go-to-page = Go to page
console-button-go = Go
selection-invalid = The value of `{ $name }` is invalid. Correct or remove it.

## Actions on several users

console-selected-link = { $count ->
    [one] Send a link to { $count } user
   *[other] Send a link to { $count } users
}
console-link-effect = Each user gets an email with a link to set a password: the invitation, or a reset for those who have a password.
console-result-deactivated = Deactivated
console-result-link = Link sent
console-selected-deactivate = { $count ->
    [one] Deactivate { $count } user
   *[other] Deactivate { $count } users
}
console-selected-delete = { $count ->
    [one] Delete { $count } user
   *[other] Delete { $count } users
}
console-left-out = Left out
console-already-inactive = Already inactive
console-result-deleted = Deleted
console-result-anonymized = Anonymized
console-results-title = Done for { $count } of { $total }

## A user

console-details = Details
console-rights = Role and rights
console-account = Account
console-actions = Actions
console-button-save = Save changes
console-button-copy = Copy
console-copied = Copied
console-button-cancel = Cancel
console-button-continue = Continue
console-choice-unknown = Choose one of the options.
console-password-none = Not set
console-password-set = Set
console-password-temporary = Temporary
console-own-credentials = Change your own email address and password on your account page.
console-own-factors = Remove your own second factors on your account page.
console-done-saved = The changes are saved.
console-done-created = The account is created. A welcome email is on its way.
console-done-deleted = The account is deleted.
console-done-anonymized = The account is deleted. Its row stays without personal data, because other records refer to it.
console-done-activated = The account is active again.
console-done-deactivated = The account is deactivated and signed out everywhere.
console-done-password = The password is set. The user is signed out everywhere and gets an email about it.
console-done-factors = The second factors are removed. The user is signed out everywhere and gets an email about it.

console-activate = Activate
console-activate-title = Activate { $name }?
console-activate-effect = The user can sign in again, with the same password and rights as before.
console-deactivate = Deactivate
console-deactivate-title = Deactivate { $name }?
console-deactivate-effect = A deactivated user is signed out everywhere at once and cannot sign in. Data and rights stay. You can activate the account again.
console-set-password = Set a password
console-set-password-title = Set a password for { $name }
console-set-password-effect = The user is signed out everywhere, API tokens are revoked, and an email tells the user about it. A link with which users choose their own password is safer.
console-send-invitation = Send the invitation again
console-send-invitation-title = Send the invitation to { $name } again?
console-send-invitation-effect = The user gets a welcome email with a new link, which sets a password. Former links of this kind end.
console-send-reset = Send a link to reset the password
console-send-reset-title = Send a link to { $name }?
console-send-reset-effect = The user gets an email with a link, which sets a new password and confirms the email address. Until then the present password stays valid.
console-end-sessions = End all sessions
console-end-sessions-title = End all sessions of { $name }?
console-end-sessions-effect = The user is signed out everywhere at once, and can sign in again. API tokens stay valid.
console-end-session = End
console-end-session-title = End this session of { $name }?
console-end-session-effect = The browser or program is signed out at once. Other sessions stay.
console-revoke-token = Revoke
console-revoke-token-title = Revoke this API token of { $name }?
console-revoke-token-effect = Programs that use the token lose access at once. The user gets an email about it.
console-done-link = An email with a link is on its way.
console-done-sessions = The user is signed out everywhere.
console-done-session = The session has ended.
console-done-token = The API token is revoked.
console-reset-factors = Remove second factors
console-reset-factors-title = Remove the second factors of { $name }?
console-reset-factors-effect = Authenticator app, passkeys and recovery codes are removed, and the user is signed out everywhere. Make sure that the user asked for it: afterwards the password alone signs in.
console-delete = Delete
console-delete-title = Delete { $name }?
console-delete-effect = Accounts, sessions, API tokens and emails are deleted and cannot be restored. If other records refer to an account, its row stays without personal data.

## New user

console-sign-in = Sign-in
console-access = First sign-in
console-access-invitation = Send an invitation: the user chooses a password by a link in the welcome email
console-access-password = Set a password now
console-password-required = Enter a password, or choose the invitation.
console-button-create = Create user

## Proof of identity

console-proof-title = Confirm that it is you
console-proof-reason = This action needs a recent proof of identity. What you entered before is kept.
console-proof-password = Enter the new password of the user again in the next step: it is not kept.
console-proof-required = Enter your password or a code.

## Conflicting changes

console-changed-meanwhile = Somebody else changed this user in the meantime. What you entered is kept. Compare it with the new values, then save again.
console-changed-field = { $field } is now: { $value }
console-changed-empty = empty

## Sign-in problems

console-problems = Can this user sign in?
console-problems-none = Nothing keeps this user from signing in.
console-problem-inactive = The account is deactivated.
console-problem-unverified = The email address is not confirmed. A link confirms it.
console-problem-no-password = The user has neither a password nor a passkey. A link sets a password.
console-problem-temporary = The temporary password has expired. A link sets another one.
console-problem-enroll = The user must set up a second factor first. The sign-in page asks for it.
console-problem-totp = Too many wrong codes of the authenticator app. Recovery codes still work. This ends:
console-problem-limit = { $limit }. This ends:
console-problem-mail = An email was not delivered: { $mail }. { $error }
console-problem-registration = A registration waits for the confirmation of the address. This ends:

## Parts of a user

console-column-device = Browser or program
console-column-since = Signed in
console-column-do = Action
console-sessions = Sessions
console-sessions-none = The user is not signed in anywhere.
console-this-session = { $device } (this browser)
console-unknown-device = Unknown
console-column-token = Name
console-column-scopes = Scopes
console-column-expires = Expires
console-tokens = API tokens
console-tokens-none = The user has no API tokens.
console-column-factor = Factor
console-column-added = Added
console-column-used = Last used
console-factors = Second factors and passkeys
console-factors-none = The user has no second factor: the password alone signs in.
console-factor-app = Authenticator app
console-factor-passkey = Passkey: { $name }
console-factor-codes = { $count ->
    [one] { $count } recovery code left
   *[other] { $count } recovery codes left
}
console-column-mail = Email
console-column-status = Status
console-column-time = Time
console-mails = Emails to this address
console-mails-none = No email was sent to this address yet, or it is no longer kept.
console-column-event = Event
console-column-details = Details
console-column-actor = By
console-column-ip = Network address
console-events = Audit trail
console-events-none = Nothing is recorded about this user yet.
console-somebody-deleted = A deleted user
console-change = { $field }: { $before } → { $after }
console-column-sample = Sample
console-column-key = Key
console-column-modified = Modified
console-samples = Samples
console-samples-none = The user has recorded no samples.

## Emails

console-mail-queued = Waiting
console-mail-sent = Sent
console-mail-failed = Failed
console-mail-cancelled = Cancelled
console-mail-held = Held
console-mail-reset-password = Reset of the password
console-mail-password-changed = Password changed
console-mail-welcome = Welcome
console-mail-confirm-new-email = Confirmation of a new address
console-mail-email-changed = Email address changed
console-mail-email-change-undone = Change of address undone
console-mail-verify-email = Confirmation of the address
console-mail-already-registered = Already registered
console-mail-refresh-reused = Session ended for safety
console-mail-api-token-created = API token created
console-mail-api-token-rotated = API token rotated
console-mail-api-token-revoked = API token revoked
console-mail-factor-added = Second factor added
console-mail-factor-removed = Second factors removed
console-mail-recovery-codes-renewed = New recovery codes
console-mail-new-device = Sign-in from a new device
console-mail-recovery-code-used = Recovery code used
console-mail-totp-stopped = Codes of the app stopped
console-mail-passkey-added = Passkey added
console-mail-passkey-removed = Passkey removed
console-mail-passkey-copied = Passkey possibly copied

## Audit trail

console-action-login = Signed in
console-action-login-failed = Sign-in failed
console-action-reauthenticated = Identity proved again
console-action-factor-added = Second factor added
console-action-factor-removed = Second factor removed
console-action-factors-reset = Second factors removed by staff
console-action-recovery-codes-renewed = Recovery codes renewed
console-action-recovery-code-used = Recovery code used
console-action-passkey-added = Passkey added
console-action-passkey-removed = Passkey removed
console-action-new-device = New device
console-action-logout = Signed out
console-action-refresh-reused = Refresh token reused
console-action-registered = Registered
console-action-email-verified = Email address confirmed
console-action-email-changed = Email address changed
console-action-email-change-undone = Change of address undone
console-action-reset-requested = Password reset requested
console-action-invitation-sent = Invitation sent again
console-action-password-reset = Password reset
console-action-password-changed = Password changed
console-action-password-set = Password set by staff
console-action-user-created = Account created
console-action-user-updated = Details changed
console-action-staff-granted = Staff flag granted
console-action-staff-revoked = Staff flag removed
console-action-activated = Activated
console-action-deactivated = Deactivated
console-action-deleted = Deleted
console-action-anonymized = Anonymized
console-action-users-imported = Users imported
console-action-import-mapping-deleted = Mapping of spreadsheet headings deleted
console-action-api-token-created = API token created
console-action-api-token-rotated = API token rotated
console-action-api-token-deleted = API token deleted
console-action-session-revoked = Session ended
console-action-sessions-revoked = All sessions ended
console-action-exported = List exported
console-action-signing-key-rotated = Signing key added
console-action-signing-key-revoked = Signing key revoked
console-action-secrets-resealed = Secrets encrypted again
console-action-limit-reached = Limit reached
console-action-mail-held = Emails held
console-action-mail-released = Emails released
console-action-mail-cancelled = Emails cancelled
console-action-limits-lifted = Limits lifted

console-reason-unknown-account = Unknown account
console-reason-wrong-password = Wrong password
console-reason-no-password = No password set
console-reason-too-many-attempts = Too many attempts
console-reason-account-inactive = Account inactive
console-reason-email-not-verified = Email address not confirmed
console-reason-password-expired = Temporary password expired
console-reason-new-password-refused = New password refused
console-reason-changed-meanwhile = Account changed meanwhile
console-reason-wrong-second-factor = Wrong code
console-reason-passkey-copied = Passkey possibly copied
console-reason-limit-mail = Too many emails
console-reason-limit-sign-in = Too many wrong passwords
console-reason-limit-link = Too many invalid links
console-reason-limit-register = Too many registrations
console-reason-limit-bulk = Too many exports and imports
console-reason-limit-welcome = Too many welcome emails
console-reason-limit-api-token = Too many API tokens
console-reason-limit-writes = Too many changes
console-reason-limit-second-factor = Too many wrong codes

## Overview

console-nav-overview = Overview
console-overview-title = Overview
console-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
console-findings = Needs attention
console-findings-link = Full report
console-figure-users = Users
console-figure-active = Active
console-figure-verified = With confirmed address
console-figure-online = Online now
console-figure-staff-without-factor = Staff without second factor
console-figure-mails-waiting = Emails waiting
console-figure-mails-failed = Emails failed
console-chart-sign-ins = Sign-ins per day
console-chart-failures = Failed sign-ins per day
console-chart-registrations = Registrations per day
console-chart-summary = { $total } in total, at most { $most } on a day
console-chart-table = As a table
console-column-day = Day (UTC)
console-column-number = Number

## Emails

console-nav-mails = Emails
console-mails-title = Emails
console-mails-recipient = Recipient
console-mails-kind = Kind
console-mails-next = Next attempt:
console-mails-select-all = Select all open emails on this page
console-mails-with-selected = With the selected emails:
console-mails-none-selected = Select at least one email.
console-mails-hint = Only invitations and password resets can be held or cancelled. Notices to owners of accounts are always sent.
console-mails-cancel = { $count ->
    [one] Cancel { $count } email
   *[other] Cancel { $count } emails
}
console-mails-cancel-effect = They are never sent, and their links end. To invite somebody again, open the user and send a new link.
console-button-filter = Filter
console-button-retry = Send now
console-button-hold = Hold
console-button-release = Release
console-button-cancel-mails = Cancel emails
console-newer = Newer
console-older = Older
console-done-mails-held = { $count } of { $total } selected emails held.
console-done-mails-released = { $count } of { $total } selected emails released.
console-done-mails-cancelled = { $count } of { $total } selected emails cancelled.
console-done-mails-retried = { $count } of { $total } selected emails queued.

## Audit trail

console-nav-audit = Audit trail
console-audit-title = Audit trail
console-audit-person = Person
console-audit-person-hint = Email address, username or id
console-audit-from = From
console-audit-to = To
console-audit-nobody = No user has this email address, username or id. Check the spelling.
console-column-target = User concerned

## System

console-nav-system = System
console-system-title = System
console-system-report = Checks
console-system-installation = Installation
console-system-version = Version
console-system-database-label = Database
console-system-database = { $version }, { $size } MiB
console-system-keys = Signing keys
console-system-settings = Settings
console-system-settings-hint = As of the start of the service. Secrets are hidden.
console-column-check = Check
console-column-found = Found
console-column-setting = Setting
console-column-value = Value
console-column-source = Source
console-key-signing = Signs
console-key-published = Published, signs from
console-key-verifying = Verifies until
console-key-expired = Expired
console-level-ok = OK
console-level-warning = Warning
console-level-failure = Failure

## Imports

console-nav-import = Import
console-import-title = Import users
console-import-upload = Upload a spreadsheet
console-import-upload-hint = An .xlsx or .csv file with a person in each row and headings in the first row. Headings can be your own words. Nothing changes before you have seen the report.
console-import-template = Download a template
console-import-file-label = File
console-import-file-required = Choose a file.
console-import-upload-button = Upload
console-import-history = History
console-import-history-none = Nobody has imported users yet.
console-import-file = File
console-import-when = Uploaded
console-import-by = By
console-import-key = Matched by
console-import-state = State
console-import-result = Result
console-import-errors-count = { $errors ->
        [one] { $errors } error
       *[other] { $errors } errors
    }
console-import-counts = { $created } created, { $updated } updated, { $unchanged } unchanged
console-import-uploaded = Uploaded
console-import-checking = Checking
console-import-checked = No errors
console-import-refused = Errors
console-import-applying = Applying
console-import-applied = Applied
console-import-failed = Failed
console-import-explain-uploaded = Say what each column means, then check the file. A check changes nothing.
console-import-explain-checking = The file is being checked. You can leave this page and come back.
console-import-explain-checked = The file has no errors. Look at the numbers and the changes of rights, then apply the import.
console-import-explain-refused = Nothing was changed. Download the marked file, correct the coloured cells and upload it again, or change the meaning of the columns below.
console-import-explain-applying = The changes are being written. You can leave this page and come back. If anything fails, nothing is changed.
console-import-explain-applied = All changes were written.
console-import-explain-failed = Nothing was changed. Check the file again.
console-import-explain-gone = The file was deleted, or another user uploaded it. Upload it again to continue.
console-import-progress = Progress
console-import-created = Created
console-import-updated = Updated
console-import-unchanged = Unchanged
console-import-marked = Download the file with its errors marked
console-import-apply = Apply the import
console-import-expires = The file is deleted at
console-import-differences = Different rights than in the report before
console-import-difference = Difference
console-import-new = New
console-import-gone = No longer
console-import-kinds = Kinds of errors
console-import-errors = Errors: { $count } in total, the first 100 are shown
console-import-rights = Changes of rights: { $count } in total, the first 100 are shown
console-import-none = None
console-import-row = Row
console-import-right = Right
console-import-before = Before
console-import-after = After
console-import-count = Number
console-import-column = Column
console-import-problem = Problem
console-import-first = First row
console-import-value = Value
console-import-no-value = (empty)
console-import-collides = Collides with
console-import-other-row = Row { $row }
console-import-other-user = An account
console-import-new-account = (new account)
console-import-mapping = Meaning of the columns
console-import-mapping-hint = The next file with the same headings gets the same meaning.
console-import-heading = Heading
console-import-samples = Samples
console-import-meaning = Means
console-import-words = Words, such as: ja = true
console-import-ignore = Ignore
console-import-match-by = Find accounts by
console-import-match-by-hint = The other columns can change, also the email address.
console-import-welcome = Send new users a welcome email
console-import-check = Check the file
console-import-word-line = Write each word as `word = value`. This line has no `=`: { $line }
