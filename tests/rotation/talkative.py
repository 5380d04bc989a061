"""The settings that make Ansible tell and keep most."""

# What people have switched on, and where what it writes goes: {} is a folder of the test's.
TALKATIVE = {
    "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit,ansible.posix.profile_tasks,ansible.posix.timer,community.general.log_plays",
    "ANSIBLE_LOG_FOLDER": "{}/plays",
    "JUNIT_OUTPUT_DIR": "{}/junit",
    "JUNIT_TASK_CLASS": "true",
    "ANSIBLE_LOG_PATH": "{}/log",
    "ANSIBLE_CACHE_PLUGIN": "jsonfile",
    "ANSIBLE_CACHE_PLUGIN_CONNECTION": "{}/facts",
    "ANSIBLE_RETRY_FILES_ENABLED": "true",
    "ANSIBLE_RETRY_FILES_SAVE_PATH": "{}/retry",
    "ANSIBLE_LOCAL_TEMP": "{}/local",
    "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "true",
    "ANSIBLE_NO_LOG": "false",
}
