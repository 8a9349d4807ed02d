//! Finding, opening, reading and writing files.

use super::row::remedies;

remedies! {
    FILE_NOT_FOUND: NotFound, Everywhere, "there is no file at the path" =>
        "Check the path. If it is a symbolic link, check that its target exists.";
    SHARD_NOT_FOUND: NotFound, Everywhere, "a shard that the index names is missing" =>
        "Download this shard: the index names it. If the folder also holds a whole \
         model.safetensors, name the folder or that file instead of the index.";
    NO_WEIGHTS: NotFound, Everywhere, "the folder holds no weights" =>
        "Name the folder that holds model.safetensors or model.safetensors.index.json.";
    ONLY_PYTORCH_WEIGHTS: NotFound, Everywhere, "the folder holds PyTorch weights only" =>
        "This folder holds only {}. Use the safetensors release of the model, or convert the file in \
         a sandbox: a PyTorch file can run code when it is opened.";
    ONLY_AN_ADAPTER: NotFound, Everywhere, "the folder holds an adapter and no model" =>
        "This folder holds a LoRA adapter alone: merge it into its base model first, and load the \
         result.";
    HUB_CACHE_ROOT: NotFound, Everywhere, "the folder is the root of a hub cache" =>
        "Name the snapshot that holds the model's files: {}.";
    LINK_LEADS_NOWHERE: NotFound, Everywhere, "a symbolic link leads to a file that is missing" =>
        "The link leads to {}, which is missing. A copy of a hub cache needs its blobs too: download \
         the file again, or copy the folder with its links followed (`cp -L`).";
    WEIGHTS_OF_ANOTHER_NAME: NotFound, Everywhere,
        "the folder holds a weight file of another name" =>
        "This folder holds {}: name that file itself.";
    FOLDER_MISSING: NotFound, Everywhere, "the folder to write into is missing" =>
        "Create the folder first.";
    IS_A_DIRECTORY: NotAFile, Everywhere, "a directory lies where a file is needed" =>
        "Name a regular file, not a directory.";
    NOT_A_REGULAR_FILE: NotAFile, Everywhere,
        "a FIFO, a socket or a device lies where a file is needed" =>
        "Copy the data to a regular file, and name that file.";
    TOO_MANY_OPEN_FILES: Unreadable, Everywhere, "too many files are open" =>
        "Close other files, or raise the limit on open files (`ulimit -n`).";
    NO_MEMORY_TO_OPEN: Unreadable, Everywhere, "the system has no memory to open the file" =>
        "Free memory on this machine.";
    NOT_PERMITTED: Unreadable, Everywhere, "this user may not read the file" =>
        "Give this user the right to read the file and to enter its folders.";
    LINKS_IN_A_CIRCLE: Unreadable, Everywhere, "symbolic links lead in a circle" =>
        "The symbolic links lead in a circle: replace them with the file.";
    PATH_TOO_LONG: Unreadable, Everywhere, "the path is too long" =>
        "Use a shorter path.";
    DISK_FAULT: Unreadable, Everywhere, "the disk or the network mount does not answer" =>
        "Check the disk or the network mount.";
    NOT_OPENED: Unreadable, Everywhere, "the system does not open the file for another reason" =>
        "Read the system's message, and check the file system that holds the file.";
    READ_FAILED: ReadFailed, Everywhere, "reading stops midway" =>
        "Check the disk or the network mount.";
    FILE_CHANGED: FileChanged, Everywhere, "the file changes while it is loaded" =>
        "Load again after the download or copy has ended.";
    DISK_FULL: OutOfDisk, Everywhere, "the disk or the quota is full" =>
        "Free some disk space, or write to another disk.";
    FILE_TOO_LARGE: OutOfDisk, Everywhere,
        "the file system or a limit allows no file of this size" =>
        "Raise the limit on the size of files (`ulimit -f`), or write to another file system.";
    WRITE_NOT_PERMITTED: Unreadable, Everywhere, "this user may not write there" =>
        "Name a place where this user may write, on a file system that is not read-only.";
    WRITE_TO_A_DIRECTORY: Unreadable, Everywhere, "the path to write to is a directory" =>
        "Name a file, not a directory.";
    WRITE_LINKS_IN_A_CIRCLE: Unreadable, Everywhere,
        "symbolic links at the path to write to lead in a circle" =>
        "Remove the symbolic links at this path: they lead in a circle.";
    WRITE_PATH_TOO_LONG: Unreadable, Everywhere, "the path to write to is too long" =>
        "Name a shorter path.";
    WRITE_FAILED: Unreadable, Everywhere, "writing fails for another reason" =>
        "Read the system's message, and check the disk or the network mount.";
}
