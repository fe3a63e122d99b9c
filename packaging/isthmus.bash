# SPDX-License-Identifier: Apache-2.0
# Completion of isthmus for bash; tags come from the running gateway.
# shellcheck shell=bash

_isthmus() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]:-} words=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        words='run check sim status devices browse get watch ledger sql set command inhibit island zones user token trial-report trust-report export import verify audit access contract pki backup restore replay version help'
    else
        case $command in
            run) words='--json --help' ;;
            check) words='--json --schema --help' ;;
            sim) words='waterworks --ports --seed --speed --tags --leak --idle --json --write-config --help' ;;
            status | devices) words='--json --socket --help' ;;
            browse)
                words='--json --socket --help'
                if [[ $word != -* ]]; then
                    words=$("${COMP_WORDS[0]}" devices 2>/dev/null | tail -n +2 | cut -d' ' -f1)
                fi
                ;;
            get | watch)
                words='--json --socket --help'
                if [[ $word != -* ]]; then
                    words=$("${COMP_WORDS[0]}" get '**' 2>/dev/null | tail -n +2 | cut -d' ' -f1)
                fi
                ;;
            ledger)
                words='--feed --json --socket --help'
                if [[ $word != -* ]]; then
                    words=$("${COMP_WORDS[0]}" get '**' 2>/dev/null | tail -n +2 | cut -d' ' -f1)
                fi
                ;;
            sql) words='--csv --limit --json --socket --help' ;;
            set)
                words='--reason --dry-run --id --json --socket --help'
                if [[ $word != -* ]]; then
                    words=$("${COMP_WORDS[0]}" get '**' 2>/dev/null | tail -n +2 | cut -d' ' -f1)
                fi
                ;;
            inhibit|island) words='on off --reason --json --socket --help' ;;
            zones) words='--json --socket --help' ;;
            command) words='approve reject renew release --reason --json --socket --help' ;;
            user)
                words='list enrol add password remove --role --zones --until --totp --json --socket --help'
                if [[ $word != -* && ${COMP_WORDS[2]:-} =~ ^(password|remove)$ ]]; then
                    words=$("${COMP_WORDS[0]}" user list 2>/dev/null | tail -n +2 | cut -d' ' -f1)
                fi
                ;;
            token)
                words='list add revoke --role --until --zones --from --cert --json --socket --help'
                if [[ $word != -* && ${COMP_WORDS[2]:-} == revoke ]]; then
                    words=$("${COMP_WORDS[0]}" token list 2>/dev/null | tail -n +2 | cut -d' ' -f1)
                fi
                ;;
            export) words='--from --to --json --help' ;;
            import) words='--check --utc --skip-unknown --json --help' ;;
            audit) words='verify list export --key --since --until --who --tag --kind --id --json --help' ;;
            contract) words='keygen sign show diff report --name --as --throw-away --key --json --socket --help' ;;
            trial-report|trust-report) words='--markdown --html --json --socket --help' ;;
            access) words='--dir --service --json --help local user: group: token: role: service:' ;;
            pki) words='init sign gateway service user revoke crl enrol renew accept list --name --names --days --same-key --to --passphrase-file --json --help' ;;
            verify | backup) words='--json --help' ;;
            restore) words='--replace --skip-damaged --repair --json --help' ;;
            replay) words='--from --to --speed --state --source --listen --north --json --help' ;;
            version) words='--json --help' ;;
            help) words='run check sim status devices browse get watch ledger sql set command inhibit island zones user token trial-report trust-report export import verify audit access contract pki backup restore replay version --json --help' ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [[ $command == run || $command == check || $command == export || $command == import || $command == verify || $command == backup || $command == restore || $command == replay ]] && ((COMP_CWORD == 2)); then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$word")
    elif [[ $command == backup || $command == restore ]] && ((COMP_CWORD == 3)); then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$word")
    elif [[ $command == export || $command == import ]] && ((COMP_CWORD == 3)); then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _isthmus isthmus
