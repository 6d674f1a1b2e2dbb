### Mails.

## Parts of all mails.

mail-greeting = Hello { $name },
mail-greeting-without-name = Hello,
mail-questions = Questions? Contact { $support }.
mail-automatic = This is an automated message. Replies are not read.
mail-link-validity = This link is valid for { $validity } and works once.
mail-link-copy = If the button doesn't work, copy this link into your browser:
mail-sign-in = Sign in
mail-reset-your-password = Reset your password

## Times and spans.

mail-time = { $month ->
        [1] { $day } January
        [2] { $day } February
        [3] { $day } March
        [4] { $day } April
        [5] { $day } May
        [6] { $day } June
        [7] { $day } July
        [8] { $day } August
        [9] { $day } September
        [10] { $day } October
        [11] { $day } November
       *[12] { $day } December
    } { $year }, { $clock } UTC
mail-time-unknown = an unknown date
mail-span-seconds = { $count ->
        [one] { $count } second
       *[other] { $count } seconds
    }
mail-span-minutes = { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
mail-span-hours = { $count ->
        [one] { $count } hour
       *[other] { $count } hours
    }
mail-span-days = { $count ->
        [one] { $count } day
       *[other] { $count } days
    }

## Confirming the address of a new account. The reader may have nothing to do with the account: no names.

mail-verify-subject = Confirm your email address for { $site }
mail-verify-intro = This email address was used to sign up at { $site }. Please confirm that it is yours.
mail-verify-button = Confirm your email address
mail-verify-ignore = If you didn't sign up, you can ignore this email. An account without a confirmed address can't be used.

## Somebody tried to register with the address of an account.

mail-registered-subject = You already have an account at { $site }
mail-registered-intro = Someone, perhaps you, tried to sign up at { $site } with this email address. You already have an account, so no new one was created.
mail-registered-forgot = If you forgot your password, reset it here:
mail-registered-ignore = If this wasn't you, you don't need to do anything. Your account was not changed, and the person who tried cannot see that it exists.

## Resetting a forgotten password.

mail-reset-subject = Reset your password at { $site }
mail-reset-intro = We received a request to reset the password of your account at { $site }.
mail-reset-button = Choose a new password
mail-reset-ignore = If you didn't ask for this, you can ignore this email. Your password stays the same.

## The password was changed.

mail-password-subject = Your password at { $site } was changed
mail-password-intro = The password of your account at { $site } was changed on { $time }.
mail-password-action = If this was you, you don't need to do anything. If it wasn't, reset your password now and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.

## An account was created for the reader.

mail-welcome-subject = Your account at { $site }
mail-welcome-intro = An account at { $site } was created for you.
mail-welcome-button = Choose your password
mail-welcome-expired = If the link has expired, request a new one here:
mail-welcome-no-password = If you don't know your password, reset it here:
mail-welcome-ignore = If you weren't expecting an account, you can ignore this email.

## Confirming the new address of an account. The reader may have nothing to do with the account: no names.

mail-new-address-subject = Confirm your new email address for { $site }
mail-new-address-intro = This email address was entered as the new address of an account at { $site }. Please confirm that it is yours.
mail-new-address-ignore = Until then, the account keeps its current address. If you didn't ask for this, you can ignore this email.

## The address of the account was changed; goes to the previous address.

mail-address-changed-subject = Your email address at { $site } was changed
mail-address-changed-intro = The email address of your account at { $site } was changed to { $address }. Emails about the account now go there.
mail-address-changed-undo = If this was you, you don't need to do anything. If it wasn't, restore this email address now. This signs out all devices. Then set a new password.
mail-address-changed-undo-button = Restore this email address
mail-address-changed-contact = If this was you, you don't need to do anything. If it wasn't, contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    } immediately.

## A change of address was undone; goes to the address that the account no longer has.

mail-address-restored-subject = Your email address at { $site } was changed back
mail-address-restored-intro = The owner of the previous address undid the change of the email address of an account at { $site }. The account no longer uses this address.
mail-address-restored-contact = If this is your account and you didn't expect this, contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    } immediately.

## API tokens.

mail-token-created-subject = A new API token for your account at { $site }
mail-token-created-intro = An API token was created for your account at { $site } on { $time }.
mail-token-rotated-subject = An API token of your account at { $site } has a new secret
mail-token-rotated-intro = An API token of your account at { $site } was given a new secret on { $time }. The old secret no longer works.
mail-token-revoked-subject = An API token of your account at { $site } was revoked
mail-token-revoked-intro = An administrator revoked an API token of your account at { $site } on { $time }. Programs that use it no longer have access.
mail-token-revoked-action = If you still need a token, create a new one. If you don't know the token, someone else may have had access to your account: reset your password, and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
mail-token-name = Name: { $name }
mail-token-scopes = Scopes: { $scopes }
mail-token-rights = Programs that have its secret can act for you within its scopes.
mail-token-action = If this was you, you don't need to do anything. If it wasn't, someone else has access to your account. Reset your password now. This deletes all your API tokens and signs out all your devices.

## Second factors.

mail-factor-added-subject = A second factor was added to your account at { $site }
mail-factor-added-intro = A second factor was added to your account at { $site } on { $time }. From now on, signing in takes your password and a code of your authenticator app.
mail-factor-added-action = If this was you, keep your recovery codes in a safe place. If it wasn't, someone else has access to your account. Reset your password now, and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
mail-factor-removed-subject = The second factor of your account at { $site } was removed
mail-factor-removed-intro = The second factor of your account at { $site } was removed on { $time }, by you or by an administrator. Signing in now takes only your password.
mail-factor-removed-action = If you expected this, you don't need to do anything. If you didn't, reset your password now, and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
mail-recovery-code-subject = A recovery code of your account at { $site } was used
mail-recovery-code-intro = On { $time }, one of the recovery codes of your account at { $site } was used instead of your authenticator app. It no longer works.
mail-recovery-code-action = If this was you, create new recovery codes when few are left. If it wasn't, someone else knows your password and your recovery codes. Reset your password now, and create new recovery codes.
mail-codes-renewed-subject = New recovery codes for your account at { $site }
mail-codes-renewed-intro = New recovery codes were created for your account at { $site } on { $time }. The old ones no longer work.
mail-codes-renewed-action = If this was you, keep the new codes in a safe place. If it wasn't, someone else has access to your account. Reset your password now, create new recovery codes, and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
mail-new-device-subject = Your account at { $site } was used from a new device
mail-new-device-intro = On { $time }, someone signed in to your account at { $site } with a second factor, from a device that was not used for that before.
mail-new-device-program = Program: { $program }
mail-new-device-address = Address: { $address }
mail-new-device-action = If this was you, you don't need to do anything. A browser counts as new again after its cookies were deleted. If it wasn't you, someone else has your second factor. Reset your password now, which signs out all your devices. Then remove second factors and passkeys that aren't yours, and create new recovery codes.
mail-totp-stopped-subject = Too many wrong codes for your account at { $site }
mail-totp-stopped-intro = Someone who knows your password at { $site } has entered many wrong codes, most recently on { $time }. For now, codes of your authenticator app are not accepted. You can still sign in with a recovery code.
mail-totp-stopped-action = If this was you, check the clock of your phone. If it wasn't, reset your password now.

## A refresh token was used twice.

mail-reused-subject = One of your devices was signed out at { $site }
mail-reused-intro = On { $time }, a sign-in token from one of your devices at { $site } was used twice. It may have been stolen, so we signed that device out.
mail-reused-action = Sign in again on that device. If this happens again, reset your password. This signs out all your devices.

## Refusals about emails in the outbox.

outbox-mail-missing = There is no email with this id.
outbox-mail-outdated = This email is out of date: its link would no longer be valid. Request a new one.
outbox-mail-held = An operator is holding this email back. It is sent when they release it.
outbox-mails-required = Select at least one email.
outbox-mails-too-many = Select at most { $max } emails at a time.
mail-failure-unknown-address = The mail server of the recipient knows no such mailbox. Check the address for typing errors.
mail-failure-mailbox-full = The mailbox of the recipient is full. Ask the recipient to make room, then retry the email.
mail-failure-refused = The mail server of the recipient refused the email, for example as spam. Ask its administrators to accept it.
mail-failure-later = The mail server of the recipient asked to try again later. Delivery is retried automatically.
mail-failure-server = The mail server of this service cannot be used. Ask the operator to check its settings.
outbox-mail-sent = This email was already sent.

## Passkeys.

mail-passkey-added-subject = A passkey was added to your account at { $site }
mail-passkey-added-intro = A passkey was added to your account at { $site } on { $time }. It signs in without your password.
mail-passkey-added-action = If this was you, you don't need to do anything. If it wasn't, someone else has access to your account. Reset your password now, which also removes passkeys that were added within the last 7 days, and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
mail-passkey-removed-subject = A passkey of your account at { $site } was removed
mail-passkey-removed-intro = A passkey of your account at { $site } was removed on { $time }. It no longer signs in.
mail-passkey-removed-action = If you expected this, you don't need to do anything. If you didn't, reset your password now, and contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
mail-passkey-copied-subject = A passkey of your account at { $site } may have been copied
mail-passkey-copied-intro = On { $time }, a passkey of your account at { $site } was refused: the counter of its security key went back. So there may be a copy of the key.
mail-passkey-copied-action = Remove this passkey from your account, and add another one. If you did not use it at that time, contact { $support ->
        [none] the administrators of { $site }
       *[other] { $support }
    }.
