# Sourced by the other scripts: where the project is, and how a step is announced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() {
    printf '\n== %s\n' "$*"
}

# need CRATE [VERSION]: installs a cargo subcommand that is not there yet.
need() {
    local crate=$1 version=${2:-}
    if ! cargo "${crate#cargo-}" --version >/dev/null 2>&1; then
        say "installing $crate"
        cargo install --locked --quiet "$crate" ${version:+--version "$version"}
    fi
}

# What only a second build of a crate needs is a tenth of a first one. It is left out where cargo alone has not built
# anything: on a fresh machine. In a folder that people work in, what they have is used. (Cargo makes an empty folder in
# any case.)
#
# There, tests have four codegen units, not sixteen: what is generic is compiled in many of them, so a first build takes
# 185 s of processor time, not 226. (With what a second build needs, four would make that one take twice as long.)
if [ -z "$(ls -A "${CARGO_TARGET_DIR:-target}/debug/incremental" 2>/dev/null)" ]; then
    export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
    [ "$CARGO_INCREMENTAL" != 0 ] ||
        export CARGO_PROFILE_TEST_CODEGEN_UNITS=${CARGO_PROFILE_TEST_CODEGEN_UNITS:-4}
fi

# What `scripts/test` tests. One list, so that a later step finds the same features built. With RESV_BENCHES=1 the
# benchmarks as well: what they need has other features in part, so a step of their own builds half of the crates again.
tested=(--locked --workspace)
[ "${RESV_BENCHES:-0}" = 1 ] || tested+=(--exclude resv-benches)

# as_tested PROGRAM ARGUMENT...: runs a program as `scripts/test` has built it, or builds it like that.
as_tested() {
    cargo test --quiet "${tested[@]}" --no-run
    "${CARGO_TARGET_DIR:-target}/debug/$1" "${@:2}"
}

# quick?: whether --quick was given to the script.
quick=false
for argument in "$@"; do
    case $argument in
        --quick) quick=true ;;
    esac
done
