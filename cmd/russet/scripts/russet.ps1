# Completion of russet for PowerShell 5.1 and later.
Register-ArgumentCompleter -Native -CommandName russet -ScriptBlock {
    param($word, $ast, $cursor)
    $program, $words = @($ast.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { if ($_.Value -is [string]) { $_.Value } else { $_.Extent.Text } })
    & $program @words "--generate-bash-completion=$word" 2>$null | ForEach-Object {
        $text, $about = $_ -split "`t", 2
        if (-not $about) { $about = $text }
        [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $about)
    }
}
