# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# npm packages, always inside the project.

# npm_install FOLDER: installs exactly what FOLDER/package-lock.json says, if that has changed since
# the last time. npm's cache and settings stay in build/npm.
npm_install() {
    local folder=$1 stamp wanted
    [[ -f $folder/package-lock.json ]] || return 0
    stamp=build/npm/${folder//\//-}.stamp
    wanted="$(sha256sum <"$folder/package-lock.json") $(node --version)"
    if [[ -d $folder/node_modules && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
        return
    fi
    step "Installing npm packages in $folder"
    mkdir -p build/npm
    if ! quietly "npm-${folder//\//-}.log" env npm_config_cache="$PWD/build/npm/cache" \
        npm_config_update_notifier=false npm --prefix "$folder" ci --no-audit --no-fund; then
        say "run: npm could not install them. With a network and npm's registry reachable, this does:"
        say ""
        say "    npm --prefix $folder ci"
        say ""
        exit "$EXIT_MISSING"
    fi
    echo "$wanted" >"$stamp"
}
