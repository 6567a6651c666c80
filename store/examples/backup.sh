#!/bin/sh
# Copies a store as it is at one moment: under the shared lock readers go on and writers wait.
#
#     backup.sh STORE ARCHIVE
#
# `posixage lock` and not flock(1): that would hold the lock without keeping its file fresh, and on a file
# that may have been replaced in the meantime. See "From a shell script" in lock/README.md.
set -eu
store=$1 archive=$2

posixage --store "$store" lock --shared -- \
    tar -C "$store" --exclude='./.posixage.stage.*' --exclude='./.posixage.trash.*' \
    --exclude='./.posixage.lock*' -cf "$archive.new" .
mv "$archive.new" "$archive"
