#!/usr/bin/env bash
# Rebuild downloads.tar.gz (units) and prompts.tar.gz (whole prompts) from the Debian
# packages of Asterisk's telephone prompts.
#
# Nobody needs this to run the recipe: the archives are committed. It says where the
# recordings come from and how they were cut. Needs a Debian or Ubuntu machine with the
# package lists (apt-get update); no root. About a minute, 75 MB to download.
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}

# shellcheck disable=SC2034  # parse_options.sh prints it
help_message=$(cat << EOF
Usage: $0 [--output downloads.tar.gz] [--debs <dir>] [--python python3]

Options:
    --output  # The archive of units to write (default="downloads.tar.gz").
    --prompts # The archive of whole prompts to write (default="prompts.tar.gz").
    --debs    # Keep the Debian packages here and use those present (default: none).
    --python  # Python with numpy and soundfile (default="${python:-python3}").
EOF
)

output=downloads.tar.gz
prompts=prompts.tar.gz
debs=
python=${python:-python3}

. utils/parse_options.sh

if [ $# -ne 0 ]; then
    log "Error: No positional arguments are required."
    exit 2
fi

languages="es fr it ru"
packages="asterisk-prompt-it-menardi-wav asterisk-core-sounds-en"
for lang in ${languages}; do
    # <lang> holds the transcripts, <lang>-g722 the recordings at 16 kHz.
    packages+=" asterisk-core-sounds-${lang} asterisk-core-sounds-${lang}-g722"
done

for tool in apt-get dpkg dpkg-deb; do
    if ! command -v "${tool}" > /dev/null; then
        log "Error: ${tool} is missing: downloads.tar.gz is rebuilt on Debian or Ubuntu only"
        exit 1
    fi
done
if ! command -v ffmpeg > /dev/null; then
    log "Error: ffmpeg is missing (it decodes G.722): apt-get install ffmpeg"
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT
debs=$(realpath -m "${debs:-${work}/debs}")
mkdir -p "${debs}" "${work}/root"

for package in ${packages}; do
    if ! compgen -G "${debs}/${package}_*.deb" > /dev/null; then
        if ! (cd "${debs}" && apt-get -qq download "${package}" 2> "${work}/apt.log"); then
            log "Error: cannot download ${package}: $(tail -n 1 "${work}/apt.log")"
            log "Run 'apt-get update' first; the package is in Debian's main section."
            exit 1
        fi
    fi
    deb=$(compgen -G "${debs}/${package}_*.deb" | sort | tail -n 1)
    dpkg -x "${deb}" "${work}/root"
    echo "${package} $(dpkg-deb -f "${deb}" Version)" >> "${work}/versions"
done

make_downloads() {
    mkdir "${work}/$1"
    "${python}" local/make_downloads.py \
        --root "${work}/root" \
        --data_license DATA_LICENSE.md \
        --output_dir "${work}/$1" \
        "${@:3}"
    # The same input gives the same bytes: order, times, owners and modes are fixed and
    # gzip stores no name or time.
    tar -C "${work}" --sort=name --mtime='2000-01-01 00:00:00Z' --format=ustar \
        --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' -cf - "$1" \
        | gzip -9 -n > "$2.tmp"
    mv "$2.tmp" "$2"
    log "Wrote $2 ($(stat -c %s "$2") bytes)"
}
# Units have no English text, and whole prompts no second speaker.
grep -v "^asterisk-core-sounds-en " "${work}/versions" > "${work}/versions.units"
grep -v "^asterisk-prompt-it-menardi-wav " "${work}/versions" > "${work}/versions.prompts"
make_downloads downloads "${output}" --versions "${work}/versions.units" \
    --unit_list local/unit_list.tsv
make_downloads prompts "${prompts}" --versions "${work}/versions.prompts" \
    --unit_list local/prompt_list.tsv --suffix .ogg \
    --speakers es_allison fr_june it_carlo ru_ivrvoice
