#!/usr/bin/env bash
# Rebuild downloads.tar.gz from the Debian packages of Asterisk's telephone prompts.
#
# Nobody needs this to run the recipe: the archive is committed. It says where the
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
    --output  # The archive to write (default="downloads.tar.gz").
    --debs    # Keep the Debian packages here and use those present (default: none).
    --python  # Python with numpy and soundfile (default="${python:-python3}").
EOF
)

output=downloads.tar.gz
debs=
python=${python:-python3}

. utils/parse_options.sh

if [ $# -ne 0 ]; then
    log "Error: No positional arguments are required."
    exit 2
fi

languages="es fr it ru"
packages="asterisk-prompt-it-menardi-wav"
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

mkdir "${work}/downloads"
"${python}" local/make_downloads.py \
    --root "${work}/root" \
    --unit_list local/unit_list.tsv \
    --data_license DATA_LICENSE.md \
    --versions "${work}/versions" \
    --output_dir "${work}/downloads"

# The same input gives the same bytes: order, times, owners and modes are fixed and
# gzip stores no name or time.
tar -C "${work}" --sort=name --mtime='2000-01-01 00:00:00Z' --format=ustar \
    --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' -cf - downloads \
    | gzip -9 -n > "${output}.tmp"
mv "${output}.tmp" "${output}"
log "Wrote ${output} ($(stat -c %s "${output}") bytes)"
