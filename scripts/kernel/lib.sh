# Sourced by the scripts beside it: which kernel is meant, where it is kept, and how a step is skipped.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh" # goes to the root of the project

# Linux versions that are built when none is named: the oldest that has all that is compared, first.
default_version=6.12
# Debian releases that package them; the last one has the newest.
suites=(trixie trixie-backports)

# What is kept: `linux-VERSION`, a program that is a User-Mode Linux kernel. Where: as said, else in target,
# else in the cache of the user, so that a fresh clone has one (`build --cache` puts it there).
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/resv/kernel
has_kernel() {
    local kernel
    for kernel in "$1"/linux-*.*; do
        case $kernel in
            *.made-from | *.part) ;;
            *) [ ! -x "$kernel" ] || return 0 ;;
        esac
    done
    return 1
}
kept=${RESV_KERNEL_DIR:-${CARGO_TARGET_DIR:-$PWD/target}/kernel}
if [ -z "${RESV_KERNEL_DIR:-}" ] && ! has_kernel "$kept" && has_kernel "$cache"; then
    kept=$cache
fi
[[ $kept == /* ]] || kept=$PWD/$kept

# cannot REMEDY...: ends a step that this machine cannot do. That is no failure, unless
# `RESV_KERNEL=require` says that it is.
cannot() {
    if [ "${RESV_KERNEL:-}" = require ]; then
        echo "kernel: $* (RESV_KERNEL=require makes this a failure)" >&2
        exit 2
    fi
    echo "kernel: skipped, $*"
    exit 0
}

# wants PROGRAM...: skips the step if one of them is not installed.
wants() {
    local program missing=()
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ ${#missing[@]} = 0 ] || cannot "not installed: ${missing[*]}"
}

# debian_lists: makes the lists of packages of the releases above. The machine's own stay as they are; no
# root is needed.
debian_lists() {
    [ -z "${lists_are_fresh:-}" ] || return 0
    local apt=$kept/apt archive keys=/usr/share/keyrings/debian-archive-keyring.gpg
    wants apt-get dpkg-deb
    [ -r "$keys" ] || cannot "there is no $keys: apt-get install debian-archive-keyring"
    archive=${RESV_DEBIAN_ARCHIVE:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' \
        | sed -n 's/^Debian Debian //p' | head -n 1)}
    [ -n "$archive" ] || cannot "this machine's apt has no Debian archive: apt-get update, or name one in RESV_DEBIAN_ARCHIVE"
    mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
        "$archive" "${suites[*]}" "$keys" >"$apt/parts/debian.sources"
    printf 'Dir::State::lists "%s";\nDir::Cache "%s";\nDir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "%s";\nAPT::Sandbox::User "";\n' \
        "$apt/lists" "$apt/cache" "$apt/parts" >"$apt/apt.conf"
    APT_CONFIG=$apt/apt.conf apt-get update -qq || cannot "Debian's archive cannot be reached"
    lists_are_fresh=yes
}

# from_debian DIRECTORY PACKAGE...: downloads packages of the releases above and unpacks them.
from_debian() {
    local into=$1 package
    shift
    debian_lists
    rm -rf "$into"
    mkdir -p "$into"
    (cd "$into" && APT_CONFIG=$kept/apt/apt.conf apt-get download -qq "$@") \
        || cannot "Debian's archive has no $* in ${suites[*]}"
    for package in "$into"/*.deb; do
        dpkg-deb -x "$package" "$into"
        rm "$package"
    done
}
