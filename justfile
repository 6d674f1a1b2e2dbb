# Shortcuts for the commands in CONTRIBUTING.md, by https://just.systems. Nothing else depends on this file.

# List the recipes
_default:
    @just --list

# Run all tests, or those whose names contain the given text
test *names:
    cargo test --workspace --locked -- {{ names }}

# Run the tests on PostgreSQL (VESTIBULE_TEST_POSTGRES_URL), or one: `module::name`
test-postgres name="":
    @: "${VESTIBULE_TEST_POSTGRES_URL:?set it to postgres://user:password@host/postgres}"
    cargo test --locked --test it -- "{{ name }}::postgres"

# Check formatting, spelling and lints
lint:
    cargo fmt --all --check
    typos
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Write schema.graphql, and list its changes since the last release
schema:
    mkdir -p target
    cargo run --quiet --locked -- schema > target/schema.graphql
    mv target/schema.graphql schema.graphql
    cargo run --quiet --locked -- schema diff schema.released.graphql

# Build the documentation of the crates
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Remove each guard, or those whose names contain the given text; one test must fail for each
mutations *guard:
    tests/mutations/run {{ guard }}

# Fuzz: [SECONDS [TARGET…]]
fuzz *args:
    fuzz/run {{ args }}

# Measure throughput and latency: [SECONDS [PART…]]
bench *args:
    cargo bench --bench load -- {{ args }}

# Run all checks before a merge
ci:
    .ci/run
