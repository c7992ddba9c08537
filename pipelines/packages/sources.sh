# Read by the scripts of this folder.

# sources SUITE: Debian's servers as apt has them here, as lines of a list of sources; nothing but the suite is ours.
sources() {
    # shellcheck disable=SC2016 # for apt-get
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' | sort -u |
        while IFS='|' read -r origin label uri; do
            case $origin:$label in
            Debian:Debian) echo "deb $uri $1 main" ;;
            Debian:Debian-Security) echo "deb $uri $1-security main" ;;
            esac
        done | sort -u
}
