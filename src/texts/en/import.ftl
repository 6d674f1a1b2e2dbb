### Refusals about files, imports and pages of lists.

## Uploaded files.

file-larger-than = The file is too large. The maximum is { $max } MB.

## Pictures.

picture-unsupported = Choose a PNG, JPEG, WebP or GIF image. This file isn't one, or it is damaged.
picture-incomplete = The picture is incomplete or damaged. Upload the original file.
picture-too-many-pixels = The picture has too many pixels. The maximum is { $side } by { $side }.
picture-too-many-scans = The picture is stored in too many parts. Save it as a baseline JPEG.
picture-too-costly = Reading the picture takes too much memory. Save it in a smaller size, or as a baseline JPEG.
avatar-size-out-of-range = `size` must be between { $min } and { $max }.

## Spreadsheets: the file.

# The sentence comes from the process that reads the file.
sheet-refused = { $reason }
sheet-too-costly = Reading the file takes too much memory or time. Split it into smaller files.
sheet-too-many-cells = The sheet is too large. Use at most { $rows } rows below the heading and { $columns } columns.
sheet-too-much-text = The sheet contains too much text. Split it into smaller files.
sheet-damaged = The file is damaged or has no readable sheet. Save it again as .xlsx or .csv.
sheet-unknown-format = The file is neither a workbook (.xlsx) nor comma-separated text in UTF-8. Save it in one of these formats.
workbook-old-or-protected = The workbook is in an old format or protected by a password. Save it as .xlsx without a password.
workbook-without-worksheet = The workbook has no worksheet. Add a worksheet with the users.
workbook-too-many-parts = The workbook has too many parts. Copy the users into a new workbook.
workbook-too-large-unpacked = The workbook is too large when unpacked. Split it into smaller files.
workbook-declares-entities = The workbook declares XML entities, which are not allowed. Save it again in a spreadsheet program.
csv-quote-unclosed = Line { $line }: the quotation mark that opens a cell is never closed. Enclose such a cell in quotation marks, and double each one inside it.
csv-quote-closed-late = Line { $line }: the quotation mark that opens a cell is not closed before line { $until }, where text follows. Enclose such a cell in quotation marks, and double each one inside it.
csv-text-after-quote = Line { $line }: text follows the quotation mark that closes a cell. Enclose such a cell in quotation marks, and double each one inside it.
csv-quote-within = Line { $line }: a cell contains a quotation mark but does not start with one. Enclose such a cell in quotation marks, and double each one inside it.

## Spreadsheets: rows and cells.

column-unknown = This column is unknown. Use { $columns }.
column-repeated = This column appears twice. Remove one of them.
heading-without-email = The first row must be the heading, with a column `email`.
heading-without-key = The first row must be the heading, with a column for `{ $column }`, by which rows are matched.
cell-without-heading = This cell has no column heading. Add a heading, or clear the cell.
cell-shows-error = The cell contains a spreadsheet error such as #REF!. Enter a value.
cell-never-calculated = The cell has a formula that was never calculated. Open the file in a spreadsheet program, save it there and import it again, or enter the value itself.
row-without-email = Enter an email address.
row-without-key = Enter a value for `{ $column }`, by which rows are matched.
new-account-without-email = No account matches this row, and a new one needs an email address. Enter one.
role-unknown = Use ADMIN, MANAGER, AGENT or MEMBER.
permission-unknown = Use FULL_ACCESS, DOWNLOAD or ONLY_VIEW.
flag-unknown = Use true or false.
email-in-other-row = This email address is already in row { $row }. Remove one of the two rows.
username-in-other-row = This username is already in row { $row }. Choose another one.
external-id-in-other-row = This external id is already in row { $row }. Remove one of the two rows.
email-of-account = This email address belongs to another account. Use another address.
email-resembles-row = The address { $email } looks like the address { $other } in row { $row }, but is not the same. Correct one of them.
email-resembles-account = The address { $email } looks like the address of another account, { $other }, but is not the same. Correct one of them.
email-resembles-hidden-account = The address { $email } looks like the address of an account that you cannot see, but is not the same. Use another address.
staff-flag-not-imported = The staff flag is not imported. Change it with `toggleStaff`.
row-username-taken = This username is taken. Choose another one.
row-external-id-taken = Another account has this external id. Choose another one.
external-id-differs = The account has the external id { $id }, which an import does not change. Correct the cell, or clear it.
too-many-welcome-mails = This address has received too many welcome emails recently. Import it later, or without welcome emails.

## Spreadsheets: mappings of headings.

mapping-too-many-columns = The mapping has too many columns. Use at most { $max }.
mapping-heading-empty = Name the heading that each column of the mapping stands for.
mapping-too-long = The mapping of { $heading } is too long. Use at most { $words } words, and { $characters } characters in each text.
mapping-heading-repeated = The heading { $heading } appears twice in the mapping. Remove one of them.
mapping-target-repeated = Two headings stand for `{ $column }`. Ignore one of them.
mapping-value-unknown = The word { $word } stands for an unknown value. Use { $values }.
import-mapping-unknown = This mapping does not exist.

## Spreadsheets: imports that are kept.

import-unknown = This import does not exist, or another user uploaded its file.
import-file-gone = The file of this import was deleted. Upload it again.
import-not-checked = Only an import that was checked without errors can be applied. Check it first.
import-under-way = This import is under way, or was applied. Wait until it ends, or upload the file again.
import-without-errors = This import has no errors to mark.
import-rights-changed = Accounts have changed since the dry run, so that other rights would change. Nothing was written. Review the differences and apply the import again.
import-session-ended = Your session ended before the import did. Nothing was written. Sign in and try again.
import-interrupted = The service stopped during this step. Nothing was written. Try again.
import-more-errors = { $more ->
        [one] { $more } further error is
       *[other] { $more } further errors are
    } not marked. Correct the marked cells, and import the file again.

## The template for imports.

template-email = Email address. It identifies the user: an account with this address is updated, otherwise one is created.
template-username = Letters, digits and . _ + - are allowed. Each username can be used only once.
template-first-name = First name.
template-last-name = Last name.
template-bio = About the user, in one or more lines.
template-phone = Phone number, kept as it is typed.
template-address = Postal address, in one or more lines.
template-role = ADMIN includes staff rights.
template-permission = Permission that other services read.
template-is-active = False blocks sign-in and ends the sessions of the account.
template-required = Required
template-generated = Generated
template-stays-empty = Stays empty
template-any-text = Text
template-heading-column = Column
template-heading-meaning = Meaning
template-heading-values = Values
template-heading-empty = Empty, for a new user
template-note = An empty cell keeps the value of an existing account. Columns can be in any order or missing.

## Django: users.

django-id-invalid = Enter an id without spaces around it.
django-id-repeated = Another user above has this id.
django-email-repeated = Another user above has this email address, in the same or another case.
django-email-taken = Another user has this email address.
django-email-of-id = The user with the id { $id } has this email address.
django-email-of-account = An account that was not imported has this email address. Use --link to link it; nothing else changes.
django-username-taken = Another user has this username.
django-username-clash = Another user has this username, or one that looks the same. Rename one of them, or use --make-usernames.
django-time-invalid = Use a time such as 2026-01-05 09:00:00+00.
django-token-invalid = A token of Django REST framework has 40 hexadecimal digits. This one does not.
django-token-limit = The token was not imported: the account already has the maximum of { $max } tokens.
django-hash-unknown = The account has no password: its hash was created by an unsupported algorithm.
django-hash-broken = The account has no password: its hash cannot be read.
django-hash-costly = The account has no password: checking its hash would take too much time or memory.
django-hash-weak = The account has no password: its hash uses fewer rounds than Django 1.11. Use --weak-hashes to keep it.
django-factor-start = The app was not imported: its codes count from a time of their own (t0). The user must add an app here.
django-factor-form = The app was not imported: its codes have { $digits } digits, valid for { $period } seconds. The user must add an app here.
django-factor-secret = The secret of the app cannot be read. If the project encrypts it, the user must add an app here.
django-factor-drift = The clock of the phone is { $seconds } seconds off, so that its codes will be wrong. The user must correct it, or use a recovery code.
django-factor-apps = The user has { $count } apps, and one is kept: the app that was used last.
django-factor-token = A static token was not imported. Tokens have 6 to 64 letters and digits.
django-factor-codes = The user has more than { $max } recovery codes. The others were not imported.
django-factor-recovery = The recovery codes cannot be read. If the project encrypts them, the user must create new ones here.
django-factor-passkey = A passkey was not imported: { $reason }. The user must add it again.
django-factor-type = An authenticator of the type { $type } was not imported. The user must add an app or a passkey here.
django-factor-kept = The authenticator app differs from the one in Django. It stays, because the account is not changed by the import.
django-factor-codes-alone = The recovery codes were not imported, because no app was imported with them. The user must add an app here.

## Django: the mapping file.

mapping-token-column = `token` in [columns] is not a column. Set its table in [tokens].
mapping-join-missing = { $field } needs the section [joins.{ $name }]. Add it to the mapping.
mapping-column-unknown = Unknown field { $name } in [columns]. Use { $known }.
mapping-id-column = `id` in [columns] must name a column of the users table.
mapping-email-column = `email` in [columns] must name a column.
mapping-time-zone-unknown = Unknown time zone { $name } in time_zone. Use a name such as Europe/Berlin.
mapping-role-unknown = { $value } is not a role. Use ADMIN, MANAGER, AGENT or MEMBER, or map it in [roles].
mapping-permission-unknown = { $value } is not a permission. Use FULL_ACCESS, DOWNLOAD or ONLY_VIEW, or map it in [permissions].
mapping-allauth = [allauth] takes codes of 6 to 8 digits for 15 to 120 seconds, and at most { $count } recovery codes of 6 to { $digits } digits.
mapping-name-invalid = { $name } is not a valid name of a table or column.

## Django: the source.

source-not-utf8 = The file is not text in UTF-8. Export it in UTF-8.
source-row-length = Row { $row } has { $cells ->
        [one] { $cells } cell
       *[other] { $cells } cells
    }, but the heading has { $heading }. Export the table again.
source-heading-lacks-columns = The heading has no { $columns }. It has { $present }. Set the columns in the mapping.
source-table-lacks-columns = The table { $table } has no { $columns }. It has { $present }. Set the columns in the mapping.
# The position in the file can follow the texts in parentheses.
source-model-lacks-columns = The model { $model } has no { $columns } (it has { $present }; set the columns in the mapping)
source-table-missing = No table { $table } in the source. Set it in the mapping.
source-unordered-ids = Users cannot be read in the order of { $column }, whose type is { $type }. Set `id` in [columns] to another column.
source-unusable = SOURCE: { $problem }
source-problem = { $source }: { $problem }
dump-not-utf8 = The file is not text in UTF-8. Dump with `--output FILE`, with PYTHONUTF8=1 set.
dump-lone-surrogate = Line { $line }: { $escape } is an unpaired surrogate. Correct the text in Django and dump again.
dump-unreadable = The file is not a dump by `manage.py dumpdata`: { $problem }
dump-without-users = The dump has no users: no model has the table { $table }. Set the table in the mapping.
dump-user-without-pk = A user has no pk (dump without --natural-primary)
dump-nested-value = { $column } is not a single value (dump without --natural-foreign and --natural-primary)

## Pages of lists.

page-first-and-last = Use `first` or `last`, not both.
page-offset-negative = `offset` must not be negative.
page-offset-with-cursor = Use `offset` with `first` only, not with `last` or a cursor.
page-count-out-of-range = `{ $name }` must be between 0 and { $max }.
nodes-too-many = `ids` can have at most { $max } items.
cursor-invalid = Invalid cursor for this list and order.
